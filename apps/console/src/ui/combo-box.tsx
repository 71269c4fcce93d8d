import { ChevronDown } from 'lucide-react';
import { Button } from 'react-aria-components/Button';
import { ComboBox as AriaComboBox } from 'react-aria-components/ComboBox';
import { Input } from 'react-aria-components/Input';
import { ListBox } from 'react-aria-components/ListBox';
import { Popover } from 'react-aria-components/Popover';
import { FieldLabel, FieldNotes, type FieldParts } from './field.tsx';
import styles from './field.module.css';
import listStyles from './list-popover.module.css';
import { OptionItem, type Option } from './select.tsx';

export interface ComboBoxProps extends FieldParts {
  readonly options: readonly Option[];
  /** Id of the option; null: none is chosen. */
  readonly value: string | null;
  readonly onChange: (id: string | null) => void;
  readonly placeholder?: string;
  readonly isRequired?: boolean;
  readonly isDisabled?: boolean;
}

/** One of many choices, found by typing a part of it. */
export function ComboBox({
  label,
  hideLabel = false,
  description,
  errorMessage,
  options,
  value,
  onChange,
  placeholder,
  isRequired = false,
  isDisabled = false,
}: ComboBoxProps) {
  return (
    <AriaComboBox
      className={styles['field'] ?? ''}
      defaultItems={options}
      value={value}
      onChange={(key) => onChange(key === null ? null : String(key))}
      menuTrigger="focus"
      allowsEmptyCollection
      isRequired={isRequired}
      isDisabled={isDisabled}
      isInvalid={errorMessage !== undefined}
      validationBehavior="aria"
    >
      <FieldLabel label={label} hideLabel={hideLabel} isRequired={isRequired} />
      <div className={styles['box']}>
        <Input className={styles['control'] ?? ''} placeholder={placeholder ?? ''} />
        <Button className={styles['inside'] ?? ''}>
          <ChevronDown size={16} aria-hidden />
        </Button>
      </div>
      <FieldNotes description={description} errorMessage={errorMessage} />
      <Popover className={listStyles['popover'] ?? ''} offset={4}>
        <ListBox<Option>
          className={listStyles['list'] ?? ''}
          renderEmptyState={() => <div className={listStyles['empty']}>Nothing of this name.</div>}
        >
          {({ id, label: text, note }) => (
            <OptionItem id={id} label={text} {...(note === undefined ? {} : { note })} />
          )}
        </ListBox>
      </Popover>
    </AriaComboBox>
  );
}
