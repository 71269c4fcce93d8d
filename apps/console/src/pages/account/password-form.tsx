import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Form } from 'react-aria-components/Form';
import { changePassword, useSession } from '../../session/session.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { TextField } from '../../ui/field.tsx';
import { toast } from '../../ui/toast.tsx';
import styles from './account.module.css';

/** Characters a password has at least. The server checks for itself. */
const LEAST_LENGTH = 12;

/** Changes the password of the signed-in person. */
export function PasswordForm({ submit }: { readonly submit: string }) {
  const queries = useQueryClient();
  const { user } = useSession();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [again, setAgain] = useState('');
  const [isTried, setTried] = useState(false);
  const change = useMutation({
    mutationFn: () => changePassword(queries, current, next),
    onSuccess() {
      setCurrent('');
      setNext('');
      setAgain('');
      setTried(false);
      toast('Password changed. Your other sessions have ended.');
    },
  });
  const problems = {
    current: current === '' ? 'Enter your current password.' : undefined,
    next: next.length < LEAST_LENGTH ? `At least ${LEAST_LENGTH} characters.` : undefined,
    again: again !== next ? 'The two passwords do not match.' : undefined,
  };
  const shown = isTried ? problems : { current: undefined, next: undefined, again: undefined };
  return (
    <Form
      className={styles['form'] ?? ''}
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (Object.values(problems).every((problem) => problem === undefined)) change.mutate();
      }}
    >
      {/* For the browser's password store. */}
      <input type="text" name="username" autoComplete="username" value={user.name} readOnly hidden />
      {change.isError && <Banner tone="danger">{change.error.message}</Banner>}
      <TextField
        label="Current password"
        type="password"
        autoComplete="current-password"
        value={current}
        onChange={setCurrent}
        isRequired
        errorMessage={shown.current}
      />
      <TextField
        label="New password"
        type="password"
        autoComplete="new-password"
        value={next}
        onChange={setNext}
        isRequired
        description={`At least ${LEAST_LENGTH} characters. A sentence is easier to remember than symbols.`}
        errorMessage={shown.next}
      />
      <TextField
        label="Repeat the new password"
        type="password"
        autoComplete="new-password"
        value={again}
        onChange={setAgain}
        isRequired
        errorMessage={shown.again}
      />
      <div>
        <Button type="submit" variant="primary" isPending={change.isPending}>
          {submit}
        </Button>
      </div>
    </Form>
  );
}
