import { Check, ChevronDown } from 'lucide-react';
import { Button } from 'react-aria-components/Button';
import { ListBox, ListBoxItem } from 'react-aria-components/ListBox';
import { Popover } from 'react-aria-components/Popover';
import { Select as AriaSelect, SelectValue } from 'react-aria-components/Select';
import { classNames } from './class-names.ts';
import { FieldLabel, FieldNotes, type FieldParts } from './field.tsx';
import styles from './field.module.css';
import listStyles from './list-popover.module.css';

/** One of the choices. */
export interface Option {
  readonly id: string;
  readonly label: string;
  readonly note?: string;
}

export interface SelectProps extends FieldParts {
  readonly options: readonly Option[];
  /** Id of the option; null: none is chosen. */
  readonly value: string | null;
  readonly onChange: (id: string) => void;
  readonly placeholder?: string;
  readonly isRequired?: boolean;
  readonly isDisabled?: boolean;
}

/** One of a few choices. For many, or for text of one's own, see ComboBox. */
export function Select({
  label,
  hideLabel = false,
  description,
  errorMessage,
  options,
  value,
  onChange,
  placeholder = 'Choose …',
  isRequired = false,
  isDisabled = false,
}: SelectProps) {
  return (
    <AriaSelect
      className={styles['field'] ?? ''}
      value={value}
      onChange={(key) => {
        if (key !== null) onChange(String(key));
      }}
      placeholder={placeholder}
      isRequired={isRequired}
      isDisabled={isDisabled}
      isInvalid={errorMessage !== undefined}
      validationBehavior="aria"
    >
      <FieldLabel label={label} hideLabel={hideLabel} isRequired={isRequired} />
      <Button className={classNames(styles['control'], styles['trigger'])}>
        <SelectValue className={styles['value'] ?? ''}>
          {({ isPlaceholder, selectedText, defaultChildren }) =>
            isPlaceholder ? defaultChildren : selectedText
          }
        </SelectValue>
        <ChevronDown size={16} aria-hidden />
      </Button>
      <FieldNotes description={description} errorMessage={errorMessage} />
      <Popover className={listStyles['popover'] ?? ''} offset={4}>
        <ListBox className={listStyles['list'] ?? ''} items={options}>
          {({ id, label: text, note }) => (
            <OptionItem id={id} label={text} {...(note === undefined ? {} : { note })} />
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

/** A choice in the list of a Select or a ComboBox. */
export function OptionItem({ id, label, note }: Option) {
  return (
    <ListBoxItem id={id} textValue={label} className={listStyles['item'] ?? ''}>
      <span className={listStyles['text']}>
        {label}
        {note !== undefined && <span className={listStyles['note']}>{note}</span>}
      </span>
      <Check className={listStyles['check']} size={16} aria-hidden />
    </ListBoxItem>
  );
}
