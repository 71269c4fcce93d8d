import { TextField } from '../../ui/field.tsx';
import { Select } from '../../ui/select.tsx';
import type { FormField } from './form-model.ts';

/** Of the choice not to give it. */
const NOT_GIVEN = ' not given';
const WORDS: Readonly<Record<string, string>> = { true: 'Yes', false: 'No' };

/** One parameter, as its schema has it. */
export function ParameterField({
  field,
  text,
  problem,
  onChange,
}: {
  readonly field: FormField;
  readonly text: string;
  readonly problem: string | undefined;
  readonly onChange: (text: string) => void;
}) {
  return <div data-parameter={field.name}>{inner()}</div>;

  function inner() {
    const { kind, label, isRequired, description, example, choices } = field;
    const shared = {
      label,
      isRequired,
      ...(description === null ? {} : { description }),
      errorMessage: problem,
    };
    if (kind === 'choice') {
      const isYesOrNo = choices.every((choice) => choice in WORDS);
      return (
        <Select
          {...shared}
          options={[
            ...(isRequired ? [] : [{ id: NOT_GIVEN, label: 'Not given' }]),
            ...choices.map((choice) => ({
              id: choice,
              label: isYesOrNo ? (WORDS[choice] ?? choice) : choice,
            })),
          ]}
          value={text === '' ? (isRequired ? null : NOT_GIVEN) : text}
          onChange={(id) => onChange(id === NOT_GIVEN ? '' : id)}
        />
      );
    }
    return (
      <TextField
        {...shared}
        value={text}
        onChange={onChange}
        placeholder={example === null || kind === 'secret' ? '' : `Example: ${example}`}
        autoComplete={kind === 'secret' ? 'new-password' : 'off'}
        spellCheck="false"
        {...(kind === 'secret' ? { type: 'password' } : {})}
        {...(kind === 'secret' && description === null
          ? { description: 'Stored encrypted and never shown.' }
          : {})}
        {...(kind === 'integer' ? { inputMode: 'numeric' as const } : {})}
        {...(kind === 'number' ? { inputMode: 'decimal' as const } : {})}
        {...(kind === 'json' ? { rows: 4, mono: true } : {})}
      />
    );
  }
}
