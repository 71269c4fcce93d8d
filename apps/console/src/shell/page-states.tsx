import { useRouter, type ErrorComponentProps } from '@tanstack/react-router';
import { Compass } from 'lucide-react';
import { LinkButton } from '../ui/button.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../ui/states.tsx';

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

/** An address that no page has. */
export function PageUnknown() {
  return (
    <EmptyState
      icon={Compass}
      title="There is no such page"
      actions={<LinkButton href="/">To the overview</LinkButton>}
    >
      The address may be mistyped, or the page is gone.
    </EmptyState>
  );
}
