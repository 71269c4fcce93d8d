import { CircleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { FieldError as AriaFieldError } from 'react-aria-components/FieldError';
import { Input } from 'react-aria-components/Input';
import { Label } from 'react-aria-components/Label';
import { Text } from 'react-aria-components/Text';
import { TextArea as AriaTextArea } from 'react-aria-components/TextArea';
import {
  TextField as AriaTextField,
  type TextFieldProps as AriaTextFieldProps,
} from 'react-aria-components/TextField';
import { classNames } from './class-names.ts';
import styles from './field.module.css';

/** What every field has. */
export interface FieldParts {
  readonly label: string;
  /** Hides the label from the eye alone. */
  readonly hideLabel?: boolean;
  readonly description?: ReactNode;
  /** What is wrong, in words; shown, and said, while `isInvalid`. */
  readonly errorMessage?: string | undefined;
}

export interface TextFieldProps
  extends Omit<AriaTextFieldProps, 'className' | 'style' | 'children' | 'isInvalid'>, FieldParts {
  readonly placeholder?: string;
  /** More lines than one. */
  readonly rows?: number;
  /** For what is read by the letter, as ids and JSON. */
  readonly mono?: boolean;
  /** The key that leads to it, see `shell/shortcuts.tsx`. */
  readonly shortcut?: 'search';
}

/** A field for text. It is invalid as long as it has an `errorMessage`. */
export function TextField({
  label,
  hideLabel = false,
  description,
  errorMessage,
  placeholder,
  rows,
  mono = false,
  shortcut,
  ...props
}: TextFieldProps) {
  const look = classNames(styles['control'], mono && styles['mono']);
  return (
    <AriaTextField
      // What the server says counts like what the browser says.
      validationBehavior="aria"
      {...props}
      {...(errorMessage === undefined ? {} : { isInvalid: true })}
      className={styles['field'] ?? ''}
    >
      <FieldLabel label={label} hideLabel={hideLabel} isRequired={props.isRequired === true} />
      {rows === undefined ? (
        <Input className={look} placeholder={placeholder ?? ''} data-shortcut={shortcut} />
      ) : (
        <AriaTextArea
          className={classNames(look, styles['area'])}
          rows={rows}
          placeholder={placeholder ?? ''}
        />
      )}
      <FieldNotes description={description} errorMessage={errorMessage} />
    </AriaTextField>
  );
}

/** The label of a field of react-aria. */
export function FieldLabel({
  label,
  hideLabel,
  isRequired,
}: {
  readonly label: string;
  readonly hideLabel: boolean;
  readonly isRequired: boolean;
}) {
  return (
    <Label className={hideLabel ? 'visually-hidden' : (styles['label'] ?? '')}>
      {label}
      {isRequired && <span className={styles['required']}> (required)</span>}
    </Label>
  );
}

/** What is said below a field of react-aria: what it is for, or what is wrong with it. */
export function FieldNotes({ description, errorMessage }: Pick<FieldParts, 'description' | 'errorMessage'>) {
  return (
    <>
      {description !== undefined && (
        <Text slot="description" className={styles['description'] ?? ''}>
          {description}
        </Text>
      )}
      <AriaFieldError className={styles['error'] ?? ''}>
        <CircleAlert size={13} aria-hidden />
        <span>{errorMessage}</span>
      </AriaFieldError>
    </>
  );
}
