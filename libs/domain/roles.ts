/** The application roles a token may carry. */
export const ROLES = [
  'SecurityActions.Read.All',
  'SecurityActions.ReadWrite.All',
  'Audit.Read.All',
  'Riposte.Operator',
] as const;
export type Role = (typeof ROLES)[number];
