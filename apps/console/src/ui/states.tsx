import { CloudOff, Lock, SearchX, TriangleAlert, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { ApiError } from '../api/api-error.ts';
import { Button } from './button.tsx';
import { CopyButton } from './copy-button.tsx';
import styles from './states.module.css';

/** There is nothing here, why, and what to do about it. */
export function EmptyState({
  icon: Icon = SearchX,
  title,
  actions,
  children,
}: {
  readonly icon?: LucideIcon;
  readonly title: string;
  readonly actions?: ReactNode;
  readonly children?: ReactNode;
}) {
  return (
    <div className={styles['state']}>
      <Icon size={28} strokeWidth={1.5} aria-hidden />
      <h2>{title}</h2>
      {children !== undefined && <p>{children}</p>}
      {actions !== undefined && <div className={styles['actions']}>{actions}</div>}
    </div>
  );
}

/** What could not be loaded, in the server's words, with the request's id for its log, and another try. */
export function ErrorState({
  error,
  title,
  onRetry,
  actions,
}: {
  readonly error: Error;
  readonly title?: string;
  readonly onRetry?: () => void;
  readonly actions?: ReactNode;
}) {
  const facts = error instanceof ApiError ? error : null;
  const { icon: Icon, heading } = kindOf(facts);
  return (
    <div className={styles['state']} role="alert">
      <Icon size={28} strokeWidth={1.5} aria-hidden />
      <h2>{title ?? heading}</h2>
      <p>{error.message}</p>
      {facts?.retryAfter != null && <p>Try again in {facts.retryAfter} s.</p>}
      {facts?.requestId != null && (
        <div className={styles['facts']}>
          <span>
            Request <code>{facts.requestId}</code>
          </span>
          <CopyButton text={facts.requestId} label="Copy the request id" />
        </div>
      )}
      {(onRetry !== undefined || actions !== undefined) && (
        <div className={styles['actions']}>
          {onRetry !== undefined && <Button onPress={onRetry}>Try again</Button>}
          {actions}
        </div>
      )}
    </div>
  );
}

function kindOf(error: ApiError | null): { readonly icon: LucideIcon; readonly heading: string } {
  switch (error?.status) {
    case 0:
      return { icon: CloudOff, heading: 'No connection to the server' };
    case 403:
      return { icon: Lock, heading: 'Not allowed' };
    case 404:
      return { icon: SearchX, heading: 'Not found' };
    case 429:
      return { icon: TriangleAlert, heading: 'Too many requests' };
    case 503:
      return { icon: CloudOff, heading: 'Service unavailable' };
    default:
      return { icon: TriangleAlert, heading: 'This could not be loaded' };
  }
}

/** The place of something that is on its way. Its surroundings say so, by `aria-busy`. */
export function Skeleton({ width, height }: { readonly width?: string; readonly height?: string }) {
  return <span className={styles['skeleton']} style={{ width, height }} aria-hidden />;
}

/** Lines that are on their way, and the word for it. */
export function SkeletonLines({
  lines = 4,
  height = '1.25rem',
}: {
  readonly lines?: number;
  readonly height?: string;
}) {
  return (
    <div className={styles['stack']} role="status" aria-busy>
      <span className="visually-hidden">Loading …</span>
      {Array.from({ length: lines }, (_, line) => (
        <Skeleton key={line} height={height} width={`${100 - (line % 3) * 14}%`} />
      ))}
    </div>
  );
}
