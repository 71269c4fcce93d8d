import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Label } from 'react-aria-components/Label';
import { Radio, RadioGroup } from 'react-aria-components/RadioGroup';
import { request } from '../../api/client.ts';
import type { NativeAction, Verdict } from '../../api/types.ts';
import { ConfirmDialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { toast } from '../../ui/toast.tsx';
import styles from './resolve-dialog.module.css';
import { parametersInShort } from './words.ts';

/** Characters that the API takes. */
const NOTE_LIMIT = 1000;

const VERDICTS: readonly { readonly id: Verdict; readonly label: string; readonly note: string }[] = [
  { id: 'applied', label: 'It was applied', note: 'The effect is in place. It can be reverted afterwards.' },
  {
    id: 'notApplied',
    label: 'It was not applied',
    note: 'The effect is not in place. If it is still wanted, create it again.',
  },
];

/** Puts on record what somebody found at the target of an action whose outcome is unknown. */
export function ResolveDialog({
  action,
  onClose,
}: {
  readonly action: NativeAction;
  readonly onClose: () => void;
}) {
  const queries = useQueryClient();
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [note, setNote] = useState('');
  const resolve = useMutation({
    mutationFn: () =>
      request<NativeAction>(`/api/v1/actions/${action.id}/resolve`, {
        method: 'POST',
        body: { verdict, note: note.trim() },
      }),
    async onSuccess() {
      toast('Recorded.');
      await Promise.all([
        queries.invalidateQueries({ queryKey: ['action', action.id] }),
        queries.invalidateQueries({ queryKey: ['actions'] }),
        queries.invalidateQueries({ queryKey: ['inbox'] }),
        queries.invalidateQueries({ queryKey: ['overview'] }),
      ]);
    },
  });
  return (
    <ConfirmDialog
      title="What did you find?"
      isOpen
      onClose={onClose}
      dismiss="Cancel"
      confirm="Record it"
      isDisabled={verdict === null || note.trim() === ''}
      onConfirm={() => resolve.mutateAsync()}
    >
      <p>
        <strong>{action.name}</strong> {parametersInShort(action)}, at {action.providerInstance}. This cannot
        be changed later.
      </p>
      <RadioGroup
        className={styles['choices'] ?? ''}
        value={verdict}
        onChange={(value) => setVerdict(value as Verdict)}
        isRequired
      >
        <Label className={styles['label'] ?? ''}>Check the target itself, not Riposte</Label>
        {VERDICTS.map(({ id, label, note: words }) => (
          <Radio key={id} value={id} className={styles['choice'] ?? ''}>
            <span className={styles['dot']} aria-hidden />
            <span>
              <span className={styles['name']}>{label}</span>
              <span className={styles['note']}>{words}</span>
            </span>
          </Radio>
        ))}
      </RadioGroup>
      <TextField
        label="How did you find out?"
        isRequired
        rows={3}
        maxLength={NOTE_LIMIT}
        value={note}
        onChange={setNote}
        placeholder="Checked by hand: the rule is on the firewall."
      />
    </ConfirmDialog>
  );
}
