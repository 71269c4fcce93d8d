import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { request } from '../../api/client.ts';
import type { NativeAction } from '../../api/types.ts';
import { StatusBadge } from '../../ui/badge.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { plural } from '../../ui/format.ts';
import styles from './cancel-many.module.css';
import { replaceRow, type LoadedPages } from './live-rows.ts';
import { parametersInShort } from './words.ts';

/** Ids that the API takes in one request. */
const AT_ONCE = 100;

interface Answer {
  readonly id: string;
  readonly status: number;
  readonly action?: NativeAction;
  readonly error?: { readonly code: string; readonly message: string };
}

/** Says what cancelling these will mean, does it, and says of each what came of it. */
export function CancelManyDialog({
  actions,
  onClose,
}: {
  readonly actions: readonly NativeAction[];
  readonly onClose: (isDone: boolean) => void;
}) {
  const queries = useQueryClient();
  // Those that end meanwhile stay in the dialog, with what came of them.
  const [asked] = useState(actions);
  const [isPending, setPending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [answers, setAnswers] = useState<ReadonlyMap<string, Answer>>(new Map());
  const left = asked.filter(({ id }) => !answers.has(id));
  const waiting = asked.filter(({ status }) => status === 'NotStarted').length;
  const begun = asked.length - waiting;

  const run = async (): Promise<void> => {
    setPending(true);
    setProblem(null);
    try {
      for (let from = 0; from < left.length; from += AT_ONCE) {
        const ids = left.slice(from, from + AT_ONCE).map(({ id }) => id);
        // One after the other: each is a hundred already.
        const { value } = await request<{ readonly value: readonly Answer[] }>('/api/v1/actions/cancel', {
          method: 'POST',
          body: { ids },
        });
        setAnswers((before) => new Map([...before, ...value.map((answer) => [answer.id, answer] as const)]));
        queries.setQueriesData<LoadedPages>({ queryKey: ['actions'] }, (pages) =>
          value.reduce(
            (all, { action }) => (action === undefined ? all : all && replaceRow(all, action)),
            pages,
          ),
        );
      }
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setPending(false);
    }
  };

  const isBegun = answers.size > 0;
  const refused = [...answers.values()].filter(({ status }) => status !== 200).length;
  return (
    <Dialog
      title={isBegun ? 'Result' : `Cancel ${plural(asked.length, 'action')}?`}
      isOpen
      isWide
      isAlert
      onClose={() => onClose(isBegun)}
      actions={
        isBegun && left.length === 0 ? (
          <Button variant="primary" onPress={() => onClose(true)} autoFocus>
            Close
          </Button>
        ) : (
          <>
            <Button onPress={() => onClose(isBegun)} isDisabled={isPending} autoFocus>
              Keep them
            </Button>
            <Button variant="danger" isPending={isPending} onPress={() => void run()}>
              Cancel {plural(left.length, 'action')}
            </Button>
          </>
        )
      }
    >
      {isBegun ? (
        <p role="status">
          {refused === 0
            ? `${plural(answers.size, 'cancel was', 'cancels were')} accepted.`
            : `${plural(answers.size - refused, 'cancel was', 'cancels were')} accepted, ${refused} not.`}
        </p>
      ) : (
        <ul className={styles['meaning']}>
          {waiting > 0 && (
            <li>
              <strong>{plural(waiting, 'has', 'have')} not started.</strong> They end at once and nothing is
              done at the provider, unless a worker picks one up first.
            </li>
          )}
          {begun > 0 && (
            <li>
              <strong>{plural(begun, 'is', 'are')} in progress.</strong> The provider is asked to stop them
              where it can. Each ends with what really happened, and may still complete.
            </li>
          )}
        </ul>
      )}
      {problem !== null && <Banner tone="danger">{problem}</Banner>}
      <ul className={styles['actions']}>
        {asked.map((action) => {
          const answer = answers.get(action.id);
          const now = answer?.action ?? action;
          return (
            <li key={action.id}>
              <StatusBadge status={now.status} phase={now.phase} />
              <span className={styles['name']}>
                {action.name} <small>{parametersInShort(action)}</small>
              </span>
              {answer !== undefined && <span className={styles['result']}>{resultInWords(answer)}</span>}
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}

function resultInWords({ action, error }: Answer): string {
  if (error !== undefined) return error.message;
  if (action?.phase === 'cancelled') return 'Cancelled: nothing was done.';
  if (action?.phase === 'cancelledAtProvider') return 'Cancelled at the provider.';
  return 'Cancel requested; it will end with what really happened.';
}
