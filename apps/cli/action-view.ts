/** What is read here of an action; a list by a filter has no phase. */
export interface ShownAction {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly phase?: string;
  readonly createdDateTime: string;
  readonly vendorInformation: {
    readonly vendor: string;
    readonly provider: string;
    readonly subProvider: string | null;
  };
  readonly parameters: readonly { readonly name: string; readonly value: string | null }[];
  readonly errorInfo: { readonly code: number; readonly message: string } | null;
  readonly waiting?: { readonly message: string; readonly expectedStartDateTime: string | null } | null;
  readonly attempts?: readonly { readonly errorInfo: { readonly message: string } | null }[];
  readonly nextAttemptDateTime?: string | null;
  readonly unresolved?: boolean;
}

export const ACTION_HEADS = ['ID', 'NAME', 'PROVIDER', 'STATUS', 'PHASE', 'CREATED', 'NOTE'] as const;

/** A row below these heads. Parameters stay out: they may be secret. */
export function actionRow(action: ShownAction): readonly (string | null | undefined)[] {
  const { vendor, provider, subProvider } = action.vendorInformation;
  return [
    action.id,
    action.name,
    [vendor, provider, ...(subProvider === null ? [] : [subProvider])].join('/'),
    action.status,
    action.phase,
    action.createdDateTime,
    action.errorInfo === null ? waitsFor(action) : `${action.errorInfo.code} ${action.errorInfo.message}`,
  ];
}

/** Why it does not start or go on now, and when it is expected to; null: it would, or does. */
export function waitsFor({ waiting, phase, attempts, nextAttemptDateTime }: ShownAction): string | null {
  if (phase === 'retrying')
    return `${attempts?.at(-1)?.errorInfo?.message ?? ''} Tried again at ${nextAttemptDateTime ?? 'once'}.`.trim();
  if (waiting === undefined || waiting === null) return null;
  const { message, expectedStartDateTime: start } = waiting;
  return start === null ? message : `${message} Expected at ${start}.`;
}
