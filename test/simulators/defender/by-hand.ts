import { Refusal } from './refusal.js';
import type { Machine } from './machines.js';
import type { Tenant } from './tenant.js';

const MACHINE_EFFECTS = {
  isolatemachine: 'Isolate',
  restrictappexecution: 'RestrictCodeExecution',
} as const;
const INDICATOR_TYPES = [
  ['ip', ['IpAddress']],
  ['domain', ['DomainName']],
  ['url', ['Url']],
  ['file', ['FileSha1', 'FileSha256', 'FileMd5']],
  ['certificate', ['CertificateThumbprint']],
] as const;

/**
 * Brings about what an action of the plugin is for, as an analyst would in the portal: by the action's name, and at
 * whichever of the values names a machine or can be an indicator. Does nothing for actions that leave no state.
 */
export function putInPlace(tenant: Tenant, action: string, values: readonly string[]): void {
  const name = action.toLowerCase();
  const effect = Object.entries(MACHINE_EFFECTS).find(([known]) => known === name)?.[1];
  const machine = values.map((value) => machineOf(tenant, value)).find((found) => found !== null) ?? null;
  if (effect !== undefined && machine !== null) return tenant.actions.putSucceeded(effect, machine);
  const [, kind = '', what = ''] = /^(block|allow|alert|warn)(.+)$/.exec(name) ?? [];
  const types = INDICATOR_TYPES.find(([known]) => known === what)?.[1] ?? [];
  for (const indicatorType of types)
    for (const indicatorValue of values) trySetting(tenant, kind, indicatorType, indicatorValue);
}

function machineOf({ machines }: Tenant, text: string): Machine | null {
  return (
    machines
      .all()
      .find(({ id, computerDnsName, ip }) => [id, computerDnsName, ip].includes(text.toLowerCase())) ?? null
  );
}

function trySetting(tenant: Tenant, kind: string, indicatorType: string, indicatorValue: string): void {
  const actions = { allow: 'Allowed', alert: 'Audit', warn: 'Warn' } as const;
  const action =
    Object.entries(actions).find(([known]) => known === kind)?.[1] ??
    (indicatorType === 'CertificateThumbprint' ? 'BlockAndRemediate' : 'Block');
  try {
    tenant.indicators.putInPlace({
      indicatorType,
      indicatorValue,
      action,
      generateAlert: action === 'Audit',
    });
  } catch (error) {
    // Not a value of this type.
    if (!(error instanceof Refusal)) throw error;
  }
}
