import { useRouter, type ErrorComponentProps } from '@tanstack/react-router';
import { Gate } from './gate.tsx';
import { LinkButton } from '../ui/button.tsx';
import { ErrorState, SkeletonLines } from '../ui/states.tsx';

/** A page that is on its way. */
export function PageLoading() {
  return <SkeletonLines lines={6} />;
}

/** A page that failed as a whole. */
export function PageProblem({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  return (
    <ErrorState
      error={error instanceof Error ? error : new Error(String(error))}
      onRetry={() => {
        reset();
        void router.invalidate();
      }}
    />
  );
}

/** What keeps the console as a whole from being shown. */
export function SiteProblem(props: ErrorComponentProps) {
  return (
    <Gate title="The console cannot be shown" note="Something went wrong while loading it.">
      <PageProblem {...props} />
    </Gate>
  );
}

/** An address that no page has. */
export function PageUnknown() {
  return (
    <Gate title="Page not found" note="Check the address; the page may have moved.">
      <LinkButton href="/">Go to the overview</LinkButton>
    </Gate>
  );
}
