import {
  type InstanceContext,
  type ProviderErrorClass,
  type VendorRequest,
  type VendorResponse,
} from '#provider-sdk';
import { failureOf } from './answers.js';
import type { AccessTokens } from './access-tokens.js';
import type { Condition, Failure, HttpDefinition, RequestTemplate } from './definition.js';
import { filledHeader, filledJson, filledPath, filledText, type Values } from './template.js';

/** Whether a request may change something, for lost answers. */
export const changes = (template: RequestTemplate): boolean => template.changes ?? template.method !== 'GET';

/** What fills the templates of calls that are about no action. */
export function instanceValues(context: InstanceContext): Values {
  return {
    settings: context.settings as Readonly<Record<string, unknown>>,
    secrets: context.secrets,
    instance: { id: context.instance },
  };
}

/**
 * Sends a request of a definition, with its credentials.
 *
 * @param described conditions whose statuses are answers, and no failures
 * @throws ProviderError by the definition's errors, else by the SDK's classes
 */
export async function send(
  definition: HttpDefinition,
  tokens: AccessTokens,
  context: InstanceContext,
  template: RequestTemplate,
  values: Values,
  described: {
    readonly answers: readonly (readonly Condition[] | undefined)[];
    readonly errors?: readonly Failure[] | undefined;
  },
): Promise<VendorResponse> {
  const errors = [...(described.errors ?? []), ...(definition.errors ?? [])];
  let refused = false;
  const request: VendorRequest = {
    method: template.method,
    url:
      (filledText(definition.baseUrl, values) ?? '').replace(/(?<!\/)\/+$/, '') +
      filledPath(template.path, values),
    query: filledMap(template.query, (text) => filledText(text, values)),
    ...(template.json === undefined ? {} : { json: filledJson(template.json, values) }),
    ...(template.form === undefined
      ? {}
      : { form: filledMap(template.form, (text) => filledText(text, values)) }),
    changes: changes(template),
    accept: described.answers.flatMap((list) => (list ?? []).flatMap(({ status }) => status ?? [])),
    classify: (seen): { errorClass: ProviderErrorClass; message?: string } | undefined => {
      if (seen.status === 401) refused = true;
      return failureOf(errors, seen);
    },
  };
  const attempt = async (): Promise<VendorResponse> =>
    context.http.request({
      ...request,
      headers: {
        ...filledMap(template.headers, (text) => filledHeader(text, values)),
        ...(await credentials(definition.auth, tokens, context, values)),
      },
    });
  try {
    return await attempt();
  } catch (error) {
    // A token may be withdrawn before its time. The vendor refused the request unread, so it may be sent once more.
    if (!refused || !tokens.forget(context)) throw error;
    return attempt();
  }
}

async function credentials(
  auth: HttpDefinition['auth'],
  tokens: AccessTokens,
  context: InstanceContext,
  values: Values,
): Promise<Record<string, string>> {
  const secret = (name: string): string => context.secrets[name] ?? '';
  if (auth?.bearer !== undefined) return { authorization: `Bearer ${secret(auth.bearer)}` };
  if (auth?.header !== undefined) return { [auth.header.name.toLowerCase()]: secret(auth.header.secret) };
  if (auth?.basic !== undefined) {
    const pair = `${filledText(auth.basic.user, values) ?? ''}:${secret(auth.basic.password)}`;
    return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
  }
  if (auth?.clientCredentials !== undefined)
    return { authorization: `Bearer ${await tokens.get(context, auth.clientCredentials, values)}` };
  return {};
}

function filledMap(
  templates: Readonly<Record<string, string>> | undefined,
  fill: (text: string) => string | undefined,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(templates ?? {}).flatMap(([name, template]) => {
      const text = fill(template);
      return text === undefined ? [] : [[name, text]];
    }),
  );
}
