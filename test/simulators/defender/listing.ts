import { ODataSyntaxError, parseFilter, type EntityModel } from '#odata';
import { holds } from '../../support/odata-evaluation.js';
import { badRequest } from './refusal.js';

const MOST = 10_000;

/**
 * What of a list `$filter`, `$skip` and `$top` leave, in its order.
 * @throws Refusal 400 for what is not understood, and for a property that cannot be filtered by
 */
export function listed<Entity extends Readonly<Record<string, unknown>>>(
  entities: readonly Entity[],
  query: URLSearchParams,
  model: EntityModel,
): readonly Entity[] {
  const filter = query.get('$filter');
  const top = wholeNumber(query, '$top', MOST);
  const skip = wholeNumber(query, '$skip', 0);
  if (top > MOST) throw badRequest('ODataError', `The limit of ${MOST} for $top is exceeded`);
  const kept = filter === null ? entities : matching(entities, filter, model);
  return kept.slice(skip, skip + top);
}

function matching<Entity extends Readonly<Record<string, unknown>>>(
  entities: readonly Entity[],
  text: string,
  model: EntityModel,
): readonly Entity[] {
  try {
    const filter = parseFilter(text, model);
    return entities.filter((entity) => holds(filter, entity));
  } catch (error) {
    if (error instanceof ODataSyntaxError) throw badRequest('ODataError', error.message);
    throw error;
  }
}

function wholeNumber(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  if (!/^\d+$/.test(text)) throw badRequest('ODataError', `${name} is no whole number`);
  return Number(text);
}
