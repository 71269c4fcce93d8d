import type { ReactNode } from 'react';
import {
  Menu as AriaMenu,
  MenuItem as AriaMenuItem,
  MenuSection,
  MenuTrigger,
  type MenuItemProps as AriaMenuItemProps,
} from 'react-aria-components/Menu';
import { Check } from 'lucide-react';
import { Header } from 'react-aria-components/Header';
import { Popover, type PopoverProps } from 'react-aria-components/Popover';
import { Separator } from 'react-aria-components/Separator';
import { classNames } from './class-names.ts';
import styles from './list-popover.module.css';

/** What can be done from one button: `trigger`, then MenuItems. */
export function Menu({
  label,
  trigger,
  placement = 'bottom end',
  children,
}: {
  /** Of the list, for who does not see it. */
  readonly label: string;
  readonly trigger: ReactNode;
  readonly placement?: NonNullable<PopoverProps['placement']>;
  readonly children: ReactNode;
}) {
  return (
    <MenuTrigger>
      {trigger}
      <Popover className={styles['popover'] ?? ''} placement={placement} offset={4}>
        <AriaMenu aria-label={label} className={styles['list'] ?? ''}>
          {children}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

export interface MenuItemProps extends Omit<
  AriaMenuItemProps,
  'className' | 'style' | 'children' | 'textValue'
> {
  readonly label: string;
  readonly note?: string;
  readonly icon?: ReactNode;
  readonly isDanger?: boolean;
  /** Marks it as the present choice. */
  readonly isCurrent?: boolean;
}

export function MenuItem({
  label,
  note,
  icon,
  isDanger = false,
  isCurrent = false,
  ...props
}: MenuItemProps) {
  return (
    <AriaMenuItem
      {...props}
      textValue={isCurrent ? `${label}, chosen` : label}
      className={classNames(styles['item'], isDanger && styles['danger'])}
    >
      {icon}
      <span className={styles['text']}>
        {label}
        {note !== undefined && <span className={styles['note']}>{note}</span>}
      </span>
      {isCurrent && <Check size={16} aria-label="chosen" />}
    </AriaMenuItem>
  );
}

/** Items with a heading. */
export function MenuGroup({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <MenuSection>
      <Header className={styles['heading'] ?? ''}>{title}</Header>
      {children}
    </MenuSection>
  );
}

export function MenuSeparator() {
  return <Separator className={styles['separator'] ?? ''} />;
}
