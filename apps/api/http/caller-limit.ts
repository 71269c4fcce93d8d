import type { FastifyReply } from 'fastify';
import { OperationalError, type Application, type RateLimit } from '#domain';
import type { KnownCaller } from '../callers.js';

/**
 * Takes one request from what the tenant's application may ask (or, of a session, the person: the console is one
 * application for all), and says on the response what is left, in the headers that Graph's own workloads send
 * (https://learn.microsoft.com/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online).
 *
 * @throws OperationalError `tooManyRequests` when nothing is left
 */
export async function limitCaller(
  rateLimit: RateLimit,
  { identity: { tenantId, appId }, session }: KnownCaller,
  reply: FastifyReply,
): Promise<void> {
  const who = session === null ? placeOf(appId) : `person:${session.person.id}`;
  const { allowed, limit, remaining, waitMs } = await rateLimit.take(`${tenantId}:${who}`);
  const seconds = Math.ceil(waitMs / 1000);
  void reply.headers({
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(seconds),
  });
  if (allowed) return;
  throw tooOften(session === null ? 'The application asks' : 'You ask', seconds);
}

/**
 * The same for an access token that the application asks for: it comes out of one allowance with the requests.
 * @throws OperationalError as {@link limitCaller}
 */
export async function limitToken(
  rateLimit: RateLimit,
  { tenantId, appId }: Pick<Application, 'tenantId' | 'appId'>,
): Promise<void> {
  const { allowed, waitMs } = await rateLimit.take(`${tenantId}:${placeOf(appId)}`);
  if (!allowed) throw tooOften('The application asks', Math.ceil(waitMs / 1000));
}

function placeOf(appId: string): string {
  return appId.toLowerCase();
}

function tooOften(who: string, seconds: number): OperationalError {
  return new OperationalError(
    'tooManyRequests',
    `${who} too often. Send the request again after the time in Retry-After; nothing was done.`,
    Math.max(1, seconds),
  );
}
