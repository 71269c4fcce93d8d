import { Button as AriaButton, type ButtonProps as AriaButtonProps } from 'react-aria-components/Button';
import { Link as AriaLink, type LinkProps as AriaLinkProps } from 'react-aria-components/Link';
import type { ReactNode } from 'react';
import styles from './button.module.css';
import { classNames } from './class-names.ts';
import { Tooltip } from './tooltip.tsx';

interface Look {
  /** `primary` once a page at most: what most people come to do. Default `secondary`. */
  readonly variant?: 'primary' | 'secondary' | 'quiet' | 'danger';
  readonly size?: 'small' | 'medium';
}

export interface ButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'>, Look {
  readonly children: ReactNode;
}

/** A button with words, and an icon before them if wanted. While `isPending` it cannot be pressed, and keeps the focus. */
export function Button({ variant = 'secondary', size = 'medium', children, ...props }: ButtonProps) {
  return (
    <AriaButton {...props} className={look({ variant, size })}>
      {props.isPending === true && <span className={styles['spinner']} aria-hidden />}
      {children}
    </AriaButton>
  );
}

export interface IconButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'>, Look {
  /** What it does: its name, and its tooltip. */
  readonly label: string;
  readonly children: ReactNode;
}

/** A button of one icon. */
export function IconButton({
  variant = 'quiet',
  size = 'medium',
  label,
  children,
  ...props
}: IconButtonProps) {
  return (
    <Tooltip text={label}>
      <AriaButton
        {...props}
        aria-label={label}
        className={classNames(look({ variant, size }), styles['icon'])}
      >
        {children}
      </AriaButton>
    </Tooltip>
  );
}

export interface LinkButtonProps extends Omit<AriaLinkProps, 'className' | 'style' | 'children'>, Look {
  readonly children: ReactNode;
}

/** A link that looks like a button: it leads somewhere. */
export function LinkButton({ variant = 'secondary', size = 'medium', children, ...props }: LinkButtonProps) {
  return (
    <AriaLink {...props} className={look({ variant, size })}>
      {children}
    </AriaLink>
  );
}

function look({ variant, size }: Required<Look>): string {
  return classNames(styles['button'], styles[variant], size === 'small' && styles['small']);
}
