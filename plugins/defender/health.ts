import { ProviderError, type HealthReport } from '#provider-sdk';
import { INDICATORS, READ_MACHINES, type Context, type DefenderApi } from './defender-api.js';
import { actions } from './manifest.js';
import { isOffered } from './settings.js';

/** Permissions that include another. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  [READ_MACHINES[0]]: READ_MACHINES,
  [INDICATORS[0]]: INDICATORS,
};

/**
 * Whether the API takes this instance's token, and whether that has the permissions of all actions that the instance
 * offers: a token says so itself, which costs no call.
 */
export async function health(api: DefenderApi, context: Context): Promise<HealthReport> {
  const offered = Object.entries(actions).filter(([name]) => isOffered(context.settings, name));
  const needed = new Map<string, string[]>();
  for (const [action, { requiredPermissions }] of offered)
    for (const permission of requiredPermissions)
      needed.set(permission, [...(needed.get(permission) ?? []), action]);
  try {
    const { roles } = await api.tokens.get(context);
    const checks = [...needed].map(([permission, users]) => {
      const ok = roles === null || (WIDER[permission] ?? [permission]).some((name) => roles.includes(name));
      return {
        name: permission,
        ok,
        message: ok ? 'granted' : `missing: ${users.join(', ')} will be refused`,
      };
    });
    const reads = needed.has(READ_MACHINES[0]);
    await api.request(context, {
      method: 'GET',
      path: reads ? '/machines' : '/indicators',
      query: { $top: '1' },
      needs: reads ? READ_MACHINES : INDICATORS,
    });
    const missing = checks.flatMap(({ name, ok }) => (ok ? [] : [name]));
    if (missing.length === 0)
      return { ok: true, message: 'Defender answers, and all permissions are there.', checks };
    return {
      ok: false,
      message: `Application ${context.settings.clientId} lacks ${missing.join(', ')}: add ${missing.length === 1 ? 'it' : 'them'} in Entra admin center > App registrations > API permissions > WindowsDefenderATP, as application permissions, and grant admin consent; or name in settings.actions only what is to be offered.`,
      checks,
    };
  } catch (error) {
    if (error instanceof ProviderError) return { ok: false, message: error.message };
    throw error;
  }
}
