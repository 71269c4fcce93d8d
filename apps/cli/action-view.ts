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
  readonly unresolved?: boolean;
}

export const ACTION_HEADS = ['ID', 'NAME', 'PROVIDER', 'STATUS', 'PHASE', 'CREATED', 'ERROR'] as const;

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
    action.errorInfo === null ? null : `${action.errorInfo.code} ${action.errorInfo.message}`,
  ];
}
