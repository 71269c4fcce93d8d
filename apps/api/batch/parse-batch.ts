import { UserError } from '#domain';
import { objectOf, validated } from '../http/validated-body.js';
import { BatchDto, MOST_REQUESTS, type BatchRequestDto } from './batch.dto.js';

/** A request of a batch whose dependencies are in order; the rest of it is checked when its turn comes. */
export interface BatchStep {
  readonly id: string;
  /** As it was given. */
  readonly request: BatchRequestDto;
  readonly dependsOn: readonly BatchStep[];
}

/**
 * Reads the body of a batch.
 * @throws UserError `invalidRequest` where the batch as a whole cannot be understood: its form, an id twice, a
 *   dependency on what is not in it, or on itself
 */
export async function parseBatch(body: unknown): Promise<readonly BatchStep[]> {
  const { requests } = await validated(BatchDto, ofBoundedLength(objectOf(body, 'a batch with "requests"')));
  const byId = new Map<string, BatchRequestDto>();
  for (const request of requests) {
    if (byId.has(keyOf(request.id)))
      throw new UserError('invalidRequest', `The id "${request.id}" stands twice in the batch.`);
    byId.set(keyOf(request.id), request);
  }
  const steps = new Map<string, BatchStep>();
  const stepOf = (request: BatchRequestDto, below: readonly BatchRequestDto[]): BatchStep => {
    if (below.includes(request)) {
      throw new UserError(
        'invalidRequest',
        `Request "${request.id}" depends on itself${below.length > 1 ? ', by way of others' : ''}.`,
      );
    }
    const known = steps.get(request.id);
    if (known !== undefined) return known;
    const dependsOn = [
      ...new Set([...(request.dependsOn ?? []), ...(request.depends_on ?? [])].map(keyOf)),
    ].map((id) => {
      const dependency = byId.get(id);
      if (dependency === undefined) {
        throw new UserError(
          'invalidRequest',
          `Request "${request.id}" depends on "${id}", which is not in the batch.`,
        );
      }
      return stepOf(dependency, [...below, request]);
    });
    const step = { id: request.id, request, dependsOn };
    steps.set(request.id, step);
    return step;
  };
  return requests.map((request) => stepOf(request, []));
}

/** The batch without its annotations. Of one that is too long nothing else is checked, which could take seconds. */
function ofBoundedLength(body: object): object {
  const requests = (body as { readonly requests?: unknown }).requests;
  if (Array.isArray(requests) && requests.length > MOST_REQUESTS) {
    throw new UserError(
      'invalidRequest',
      `requests must contain no more than ${MOST_REQUESTS} elements; it has ${requests.length}.`,
    );
  }
  return withoutAnnotations(body);
}

/** Graph tells ids apart without regard to case. */
function keyOf(id: string): string {
  return id.toLowerCase();
}

/** Those of the batch itself; the ones in a body are for its own route. */
function withoutAnnotations(batch: object): object {
  const strip = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).filter(([key]) => !key.includes('@')))
      : value;
  return Object.fromEntries(
    Object.entries(strip(batch) as object).map(([key, value]) => [
      key,
      Array.isArray(value) ? value.map(strip) : value,
    ]),
  );
}
