import { useQueryClient } from '@tanstack/react-query';
import { Pause, Play } from 'lucide-react';
import { useState } from 'react';
import { request } from '../../api/client.ts';
import { providersQuery } from '../../api/queries.ts';
import type { Provider } from '../../api/types.ts';
import { useSession } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { ConfirmDialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { plural } from '../../ui/format.ts';
import { toast } from '../../ui/toast.tsx';
import { nameOf } from './provider-state.ts';

const REASON_LIMIT = 1000;

/** Lets whoever operates the installation pause an instance, with a reason, and resume it. */
export function PauseButton({ provider }: { readonly provider: Provider }) {
  const { operates } = useSession();
  const queries = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [reason, setReason] = useState('');
  if (!operates) return null;
  const path = `/api/v1/providers/${encodeURIComponent(provider.id)}`;
  const takeOver = (after: Provider): void => {
    queries.setQueryData(providersQuery.queryKey, (all) =>
      // What the answer leaves out, as the latency, stays.
      all?.map((one) => (one.id === after.id ? { ...one, ...after } : one)),
    );
    // What waits there has another reason now.
    void queries.invalidateQueries({ queryKey: ['action'] });
  };
  const pause = async (): Promise<void> => {
    takeOver(await request<Provider>(`${path}/pause`, { method: 'POST', body: { reason: reason.trim() } }));
    setReason('');
    toast(`${provider.id} is paused.`);
  };
  const resume = async (): Promise<void> => {
    takeOver(await request<Provider>(`${path}/resume`, { method: 'POST' }));
    toast(`${provider.id} is running again.`);
  };
  const waiting = provider.backlog.waiting ?? 0;
  return (
    <>
      {provider.paused === null ? (
        <Button size="small" onPress={() => setOpen(true)}>
          <Pause size={14} aria-hidden />
          Pause …
        </Button>
      ) : (
        <Button size="small" variant="primary" onPress={() => setOpen(true)}>
          <Play size={14} aria-hidden />
          Resume …
        </Button>
      )}
      {provider.paused === null ? (
        <ConfirmDialog
          title={`Pause ${nameOf(provider)}?`}
          isOpen={isOpen}
          onClose={() => setOpen(false)}
          confirm="Pause"
          isDisabled={reason.trim() === ''}
          onConfirm={pause}
        >
          <p>
            Nothing starts here, for any tenant, until someone resumes it. Waiting actions are kept. Actions
            already sent to the vendor continue and can be cancelled.
          </p>
          <TextField
            label="Why?"
            isRequired
            autoFocus
            maxLength={REASON_LIMIT}
            value={reason}
            onChange={setReason}
            placeholder="Firewall upgrade until 18:00."
            description="Shown to everyone whose actions are waiting for it."
          />
        </ConfirmDialog>
      ) : (
        <ConfirmDialog
          title={`Resume ${nameOf(provider)}?`}
          isOpen={isOpen}
          onClose={() => setOpen(false)}
          confirm="Resume"
          onConfirm={resume}
        >
          <p>It was paused because: {provider.paused.reason}</p>
          <p>
            {waiting === 0
              ? 'Nothing is waiting.'
              : `${plural(waiting, 'action is', 'actions are')} waiting and will start as fast as the quota allows.`}
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
