import { serverNow } from '../../api/server-clock.ts';
import { Button } from '../../ui/button.tsx';
import { TextField } from '../../ui/field.tsx';
import { localTime } from './local-time.ts';
import styles from './new-action.module.css';

const STEPS = [
  { label: '1 hour', hours: 1 },
  { label: '8 hours', hours: 8 },
  { label: '24 hours', hours: 24 },
  { label: '7 days', hours: 168 },
] as const;

/** A time to come, in the reader's zone, typed or as so long from now. */
export function TimeAhead({
  label,
  description,
  value,
  onChange,
  errorMessage,
}: {
  readonly label: string;
  readonly description: string;
  /** ISO 8601. */
  readonly value: string | null;
  readonly onChange: (iso: string | null) => void;
  readonly errorMessage: string | undefined;
}) {
  return (
    <div className={styles['time']}>
      <TextField
        label={label}
        type="datetime-local"
        description={description}
        value={value === null ? '' : localTime(new Date(value))}
        onChange={(text) => {
          const time = new Date(text);
          onChange(Number.isNaN(time.getTime()) ? null : time.toISOString());
        }}
        errorMessage={errorMessage}
      />
      <div className={styles['steps']} role="group" aria-label={`${label}: from now`}>
        {STEPS.map(({ label: words, hours }) => (
          <Button
            key={hours}
            size="small"
            onPress={() => onChange(new Date(serverNow() + hours * 3_600_000).toISOString())}
          >
            in {words}
          </Button>
        ))}
        {value !== null && (
          <Button size="small" variant="quiet" onPress={() => onChange(null)}>
            Clear
          </Button>
        )}
      </div>
    </div>
  );
}
