import { Type, type Static } from '#provider-sdk';
import { maybeText } from './defender-api.js';

/** Defender's record of a response action, as far as it is read. */
export const machineActionSchema = Type.Object({
  id: Type.String({ minLength: 1 }),
  type: Type.String(),
  status: Type.String(),
  machineId: Type.String(),
  computerDnsName: maybeText,
  scope: maybeText,
  requestor: maybeText,
  requestorComment: maybeText,
  creationDateTimeUtc: Type.String(),
  lastUpdateDateTimeUtc: maybeText,
  // As lists spell it.
  lastUpdateTimeUtc: maybeText,
  cancellationRequestor: maybeText,
  errorHResult: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
  relatedFileInfo: Type.Optional(Type.Union([Type.Object({ fileIdentifier: maybeText }), Type.Null()])),
  commands: Type.Optional(
    Type.Union([
      Type.Array(
        Type.Object({
          index: Type.Optional(Type.Number()),
          commandStatus: maybeText,
          errors: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
        }),
      ),
      Type.Null(),
    ]),
  ),
});
export type MachineAction = Static<typeof machineActionSchema>;

export const machineActionList = Type.Object({ value: Type.Array(machineActionSchema) });

/** What a status says: null where it is none that Microsoft documents, which is no end. */
export function endOf({
  status,
}: Pick<MachineAction, 'status'>): 'active' | 'succeeded' | 'failed' | 'timedOut' | 'cancelled' | null {
  switch (status.toLowerCase()) {
    case 'pending':
    case 'inprogress':
      return 'active';
    case 'succeeded':
      return 'succeeded';
    case 'failed':
      return 'failed';
    case 'timeout':
      return 'timedOut';
    case 'cancelled':
      return 'cancelled';
    default:
      return null;
  }
}

export function isActive(action: MachineAction): boolean {
  const end = endOf(action);
  return end === 'active' || end === null;
}

/** Newest first. Times have seven digits of a second, which `Date` reads as well. */
export function newestFirst(actions: readonly MachineAction[]): readonly MachineAction[] {
  return actions.toSorted((a, b) => Date.parse(b.creationDateTimeUtc) - Date.parse(a.creationDateTimeUtc));
}
