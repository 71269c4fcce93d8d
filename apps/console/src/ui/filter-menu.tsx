import { Check, ChevronDown } from 'lucide-react';
import { Button } from 'react-aria-components/Button';
import { Menu, MenuItem, MenuTrigger } from 'react-aria-components/Menu';
import { Popover } from 'react-aria-components/Popover';
import { classNames } from './class-names.ts';
import styles from './filter-menu.module.css';
import listStyles from './list-popover.module.css';
import type { Option } from './select.tsx';

export interface FilterMenuProps {
  readonly label: string;
  readonly options: readonly Option[];
  /** Ids of those that are chosen; none: the list is not narrowed by it. */
  readonly selected: readonly string[];
  readonly onChange: (ids: readonly string[]) => void;
  readonly isMultiple?: boolean;
  /** One of the options is always chosen, as an order. */
  readonly isNeeded?: boolean;
}

/** A button that says by what a list is narrowed, and the choices below it. */
export function FilterMenu({
  label,
  options,
  selected,
  onChange,
  isMultiple = false,
  isNeeded = false,
}: FilterMenuProps) {
  const chosen = selected.map((id) => options.find((option) => option.id === id)?.label ?? id);
  const isNarrowed = chosen.length > 0;
  return (
    <MenuTrigger>
      <Button className={classNames(styles['button'], isNarrowed && !isNeeded && styles['narrowed'])}>
        <span className={styles['name']}>
          {label}
          {isNarrowed && ':'}
        </span>
        {isNarrowed && <span className={styles['value']}>{chosen.join(', ')}</span>}
        <ChevronDown size={14} aria-hidden />
      </Button>
      <Popover className={listStyles['popover'] ?? ''} placement="bottom start" offset={4}>
        <Menu
          aria-label={label}
          className={listStyles['list'] ?? ''}
          selectionMode={isMultiple ? 'multiple' : 'single'}
          disallowEmptySelection={isNeeded}
          selectedKeys={selected}
          onSelectionChange={(keys) => {
            if (keys !== 'all') onChange([...keys].map(String));
          }}
          renderEmptyState={() => <div className={listStyles['empty']}>Nothing to choose from.</div>}
        >
          {options.map(({ id, label: text, note }) => (
            <MenuItem key={id} id={id} textValue={text} className={listStyles['item'] ?? ''}>
              <span className={listStyles['text']}>
                {text}
                {note !== undefined && <span className={listStyles['note']}>{note}</span>}
              </span>
              <Check className={listStyles['check']} size={16} aria-hidden />
            </MenuItem>
          ))}
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}
