import { useQuery } from '@tanstack/react-query';
import { applicationsQuery } from '../../api/queries.ts';
import { Copyable } from '../../ui/copyable.tsx';

/** What applications are called, by their ids; null: it is not known. */
export function useApplicationNames(): (appId: string) => string | null {
  const { data } = useQuery(applicationsQuery);
  return (appId) => data?.find((one) => one.appId === appId.toLowerCase())?.name ?? null;
}

/** Who asked for something: the person, else the application by its name, with its id as the title. */
export function Who({ user, appId }: { readonly user: string | null; readonly appId: string | null }) {
  const nameOf = useApplicationNames();
  if (user !== null) return user;
  if (appId === null) return 'an unknown caller';
  return <span title={appId}>{nameOf(appId) ?? appId}</span>;
}

/** An application by its name, with its id to copy. */
export function ApplicationFact({ appId }: { readonly appId: string }) {
  const name = useApplicationNames()(appId);
  return (
    <span title={appId}>
      {name !== null && `${name} `}
      <Copyable text={appId} label="Copy the application’s id" isMono />
    </span>
  );
}
