import type { FastifyReply } from 'fastify';
import type { Identity } from '#auth';
import { OperationalError, type RateLimit } from '#domain';

/**
 * Takes one request from what the tenant's application may ask, and says on the response what is left, in the
 * headers that Graph's own workloads send
 * (https://learn.microsoft.com/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online).
 *
 * @throws OperationalError `tooManyRequests` when nothing is left
 */
export async function limitApp(
  rateLimit: RateLimit,
  { tenantId, appId }: Identity,
  reply: FastifyReply,
): Promise<void> {
  const { allowed, limit, remaining, waitMs } = await rateLimit.take(`${tenantId}:${appId.toLowerCase()}`);
  const seconds = Math.ceil(waitMs / 1000);
  void reply.headers({
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(seconds),
  });
  if (allowed) return;
  throw new OperationalError(
    'tooManyRequests',
    'The application asks too often. Send the request again after the time in Retry-After; nothing was done.',
    Math.max(1, seconds),
  );
}
