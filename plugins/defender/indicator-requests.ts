import {
  addressTarget,
  anyTarget,
  fileTarget,
  type IndicatorTarget,
  type IndicatorType,
} from './indicator-value.js';
import type { IndicatorAction } from './indicator.js';
import type { IndicatorForm } from './indicator-form.js';

type Parameters = Readonly<Record<string, unknown>>;

/** What an action on indicators asks for. */
export interface IndicatorRequest {
  readonly target: IndicatorTarget;
  /** `remove`: with `only`, nothing but what has one of these actions. */
  readonly verb:
    { readonly set: IndicatorAction } | { readonly remove: true; readonly only: readonly string[] | null };
}

/** What UnblockX takes away: all that stands in the way of something, by its old names too. */
const STOPS: readonly string[] = ['Block', 'BlockAndRemediate', 'Warn', 'AlertAndBlock'];

const TARGETS: Readonly<Record<string, (parameters: Parameters) => IndicatorTarget>> = {
  Ip: ({ IP }) => addressTarget(String(IP)),
  Domain: ({ Domain }) => ({ type: 'DomainName', value: String(Domain) }),
  Url: ({ URL: url }) => ({ type: 'Url', value: String(url) }),
  File: ({ FileHash }) => fileTarget(String(FileHash)),
  Certificate: ({ Thumbprint }) => ({
    type: 'CertificateThumbprint',
    value: String(Thumbprint).toLowerCase(),
  }),
  Indicator: ({ IndicatorType: type, IndicatorValue }) =>
    anyTarget(type as IndicatorType, String(IndicatorValue)),
};

/**
 * What an action means, or null where it is none on indicators. Parameters are those that its schema let through.
 * @throws ProviderError `invalidInput` for a value that Defender does not take
 */
export function indicatorRequestOf(action: string, parameters: Parameters): IndicatorRequest | null {
  const [, verb = '', kind = ''] = /^(Block|Allow|Audit|Warn|Unblock|Alert|Remove)(\w+)$/.exec(action) ?? [];
  const target = Object.hasOwn(TARGETS, kind) ? TARGETS[kind]?.(parameters) : undefined;
  if (target === undefined) return null;
  switch (verb) {
    case 'Unblock':
      return { target, verb: { remove: true, only: STOPS } };
    case 'Remove':
      return { target, verb: { remove: true, only: null } };
    case 'Block':
      // Defender has no other block of a certificate.
      return {
        target,
        verb: {
          set: kind === 'Certificate' || parameters['Remediate'] === true ? 'BlockAndRemediate' : 'Block',
        },
      };
    case 'Allow':
      return { target, verb: { set: 'Allowed' } };
    case 'Warn':
      return { target, verb: { set: 'Warn' } };
    default:
      return { target, verb: { set: 'Audit' } };
  }
}

/** What a caller wishes of the indicator, besides what it does and when it ends. */
export function wishesOf(
  action: string,
  actionId: string,
  parameters: Parameters,
): Omit<IndicatorForm, 'action' | 'description'> & { readonly words: string } {
  const text = (name: string): string | undefined => {
    const value = parameters[name];
    return typeof value === 'string' ? value : undefined;
  };
  const groups = parameters['RbacGroupNames'];
  return {
    words: text('Comment') ?? `${action} by Riposte`,
    title: text('Title') ?? `SOAR ${action} ${actionId}`,
    severity: text('Severity') ?? 'Medium',
    // Defender refuses an Audit without.
    generateAlert: parameters['GenerateAlert'] === true || /^(?:Audit|Alert)/.test(action),
    recommendedActions: text('RecommendedActions'),
    educateUrl: text('EducateUrl'),
    rbacGroupNames: Array.isArray(groups) ? groups.map(String) : undefined,
  };
}
