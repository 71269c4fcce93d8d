/** How the console hears of changes. */
export type LiveState = 'connecting' | 'live' | 'polling' | 'offline';

/** What an event says of an action that changed. */
export interface ChangedAction {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly name: string;
  readonly providerInstance: string;
  readonly lastActionDateTime: string;
  readonly createdDateTime: string;
  readonly unresolved: boolean;
}

export interface EventsOptions {
  /** Of the stream, as `/api/v1/events`. */
  readonly url: string;
  readonly onActions: (actions: readonly ChangedAction[]) => void;
  /** Ids of the instances of which pause or health changed. */
  readonly onProviders: (instances: readonly string[]) => void;
  /** What was missed cannot be told: everything has to be loaded anew. */
  readonly onReset: () => void;
  readonly onState: (state: LiveState) => void;
}

/** Opens the stream of changes. The answer closes it. */
export function openEvents({ onState }: EventsOptions): () => void {
  onState('polling');
  return () => undefined;
}
