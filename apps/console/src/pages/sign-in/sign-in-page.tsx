import { useMutation, useQueryClient, useSuspenseQuery } from '@tanstack/react-query';
import { getRouteApi, useRouter } from '@tanstack/react-router';
import { useState } from 'react';
import { Form } from 'react-aria-components/Form';
import { ApiError } from '../../api/api-error.ts';
import { withQuery } from '../../api/client.ts';
import { sessionQuery } from '../../api/queries.ts';
import { isOutside, returnPath } from '../../session/return-to.ts';
import { signIn } from '../../session/session.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button, LinkButton } from '../../ui/button.tsx';
import { TextField } from '../../ui/field.tsx';
import styles from './sign-in.module.css';
import { Gate } from '../../shell/gate.tsx';
import { problemInWords } from './problems.ts';

const route = getRouteApi('/sign-in');

export function SignInPage() {
  const { data: session } = useSuspenseQuery(sessionQuery);
  const { returnTo, problem } = route.useSearch();
  if (session.signedIn) return null;
  const { local, issuers } = session.signIn;
  return (
    <Gate title="Sign in" note="See what your security actions are doing, and act on them.">
      {problem !== undefined && <Banner tone="danger">{problemInWords(problem)}</Banner>}
      {!local && issuers.length === 0 && (
        <Banner tone="warning" title="Sign-in is not set up">
          No identity provider is configured and local accounts are turned off. See “console” in the
          configuration.
        </Banner>
      )}
      {issuers.map(({ id, name }) => (
        <LinkButton
          key={id}
          href={withQuery(`/sign-in/with/${encodeURIComponent(id)}`, { returnTo: returnPath(returnTo) })}
          variant={local ? 'secondary' : 'primary'}
        >
          Sign in with {name}
        </LinkButton>
      ))}
      {local && issuers.length > 0 && <div className={styles['or']}>or with a local account</div>}
      {local && <LocalForm returnTo={returnPath(returnTo)} />}
    </Gate>
  );
}

function LocalForm({ returnTo }: { readonly returnTo: string }) {
  const queries = useQueryClient();
  const router = useRouter();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const attempt = useMutation({
    mutationFn: () => signIn(queries, name.trim(), password),
    async onSuccess() {
      if (isOutside(returnTo)) window.location.assign(returnTo);
      else await router.navigate({ href: returnTo, replace: true });
    },
    onError: () => setPassword(''),
  });
  return (
    <Form
      className={styles['form'] ?? ''}
      onSubmit={(event) => {
        event.preventDefault();
        attempt.mutate();
      }}
    >
      {attempt.isError && <Banner tone="danger">{refusalInWords(attempt.error)}</Banner>}
      <TextField
        label="Name"
        name="username"
        autoComplete="username"
        autoFocus
        value={name}
        onChange={setName}
      />
      <TextField
        label="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={setPassword}
      />
      <Button
        type="submit"
        variant="primary"
        isPending={attempt.isPending}
        isDisabled={name.trim() === '' || password === ''}
      >
        Sign in
      </Button>
    </Form>
  );
}

function refusalInWords(error: Error): string {
  if (!(error instanceof ApiError)) return error.message;
  if (error.status === 401) return 'Wrong name or password.';
  if (error.status === 429) {
    const wait = error.retryAfter === null ? 'a while' : `${error.retryAfter} s`;
    return `Too many attempts. Try again in ${wait}.`;
  }
  return error.message;
}
