import {
  defineProvider,
  type CallContext,
  type CancelOutcome,
  type EffectRecord,
  type Json,
  type Provider,
  type VendorOperation,
  type VendorResponse,
} from '#provider-sdk';
import { AccessTokens } from './access-tokens.js';
import { at, failureOf, holds, idAt, meets, unexpected, type Seen } from './answers.js';
import { EXPIRY_NAMES, type HttpAction, type HttpDefinition } from './definition.js';
import { errorOf, manifestOf, objectSchema, type Abilities } from './manifest.js';
import { changes, instanceValues, send } from './requests.js';
import { namesIn, type Values } from './template.js';

interface Request {
  readonly action: string;
  readonly parameters: unknown;
  readonly effectUntil?: Date;
}

/** The provider that a definition describes. Keeps nothing but access tokens. */
export function httpProvider(definition: HttpDefinition): Provider {
  const tokens = new AccessTokens();
  const actionOf = (name: string): HttpAction => definition.actions[name] as HttpAction;

  const ask: Ask = (context, template, values, described) =>
    send(definition, tokens, context, template, values, described);

  /** What stands at the vendor for the action: null where nothing does. */
  async function find(context: CallContext, request: Request): Promise<Found | null> {
    const { lookup } = actionOf(request.action);
    if (lookup === undefined) return null;
    const values = valuesOf(context, request);
    const seen = await ask(context, lookup.request, values, { answers: [], errors: lookup.errors });
    const refused = failureOf([...(lookup.errors ?? []), ...(definition.errors ?? [])], seen);
    if (refused !== undefined) throw errorOf(refused, seen);
    const list = at(lookup.in, seen.body);
    // What is no list is not an empty one: to take it for such would be to act on a guess.
    if (!Array.isArray(list)) throw unexpected(seen, false);
    for (const entry of list as readonly unknown[]) {
      if (!holds(lookup.where, entry, values)) continue;
      const id = idAt(lookup.id, entry);
      if (id === undefined) throw unexpected(seen, false);
      return { id, ours: lookup.ours !== undefined && holds(lookup.ours, entry, values) };
    }
    return null;
  }

  return defineProvider({
    manifest: manifestOf(
      definition,
      objectSchema(definition.settings, definition.requiredSettings),
      definition.secrets,
      abilitiesOf(definition),
    ),

    async execute(context, request) {
      const action = actionOf(request.action);
      const { execute, lookup } = action;
      let values = valuesOf(context, request);
      if (lookup !== undefined) {
        const found = await find(context, request);
        if (lookup.wants === 'present' && found !== null)
          return { kind: 'completed', effect: effectOf(found.ours, found.id) };
        if (lookup.wants === 'absent') {
          if (found === null) return { kind: 'completed', effect: { changed: false } };
          values = { ...values, found: { id: found.id } };
        }
      }
      const seen = await ask(context, execute.request, values, {
        answers: [execute.done, execute.pending?.when],
        errors: execute.errors,
      });
      const { pending } = execute;
      // The conditions of what goes on come first: its answers are the more particular ones.
      if (pending !== undefined && meets(pending.when, seen)) {
        const id = idAt(pending.operationId, seen.body);
        if (id === undefined) throw unexpected(seen, changes(execute.request));
        const operation = { id };
        await context.saveOperation(operation);
        return { kind: 'pending', operation, nextPollMs: pending.everySeconds * 1000 };
      }
      if (meets(execute.done, seen)) return completed(execute, seen);
      const refused = failureOf([...(execute.errors ?? []), ...(definition.errors ?? [])], seen);
      throw refused === undefined ? unexpected(seen, changes(execute.request)) : errorOf(refused, seen);
    },

    async poll(context, operation, request) {
      const { poll } = actionOf(request.action);
      if (poll === undefined) throw unexpected({ status: 0, body: null }, false);
      const seen = await ask(context, poll.request, valuesOf(context, request, operation), {
        answers: [poll.done, poll.running, poll.stopped, poll.failed?.filter(({ status }) => status)],
      });
      if (meets(poll.stopped, seen)) return { kind: 'stopped' };
      const failed = failureOf(poll.failed ?? [], seen);
      if (failed !== undefined) return { kind: 'failed', error: errorOf(failed, seen) };
      if (meets(poll.done, seen)) return completed(poll, seen, operation);
      if (meets(poll.running, seen))
        return { kind: 'pending', operation, nextPollMs: poll.everySeconds * 1000 };
      const refused = failureOf(definition.errors ?? [], seen);
      throw refused === undefined ? unexpected(seen, false) : errorOf(refused, seen);
    },

    async reconcile(context, request) {
      const { lookup } = actionOf(request.action);
      if (lookup === undefined) return { kind: 'cannotTell' };
      const found = await find(context, request);
      if (lookup.wants === 'absent')
        return found === null ? { kind: 'completed', effect: { changed: true } } : { kind: 'notFound' };
      if (found === null) return { kind: 'notFound' };
      return { kind: 'completed', effect: effectOf(found.ours, found.id) };
    },

    async cancel(context, operation, request): Promise<CancelOutcome> {
      const { cancel } = actionOf(request.action);
      if (cancel === undefined) return 'notSupported';
      if (operation === null && namesIn(cancel.request).includes('operation.id')) return 'unknown';
      const seen = await ask(context, cancel.request, valuesOf(context, request, operation), {
        answers: [cancel.cancelled, cancel.requested, cancel.tooLate],
      });
      if (meets(cancel.tooLate, seen)) return 'tooLate';
      if (meets(cancel.cancelled, seen)) return 'cancelled';
      return meets(cancel.requested, seen) ? 'requested' : 'unknown';
    },

    async revert(context, done) {
      const { revert } = actionOf(done.action);
      const id = done.effect?.ids?.[0];
      // Somebody else's, or nobody knows whose: what we did not make is not ours to take away.
      if (done.effect?.changed === false) return { kind: 'completed', effect: { changed: false } };
      if (revert === undefined || (id === undefined && namesIn(revert.request).includes('effect.id')))
        return {
          kind: 'failed',
          error: errorOf({ errorClass: 'unsupported', message: 'What it made is not on record.' }, NO_ANSWER),
        };
      const values = { ...valuesOf(context, done), effect: { id } };
      const seen = await ask(context, revert.request, values, {
        answers: [revert.done],
        errors: revert.errors,
      });
      if (meets(revert.done, seen)) return { kind: 'completed', effect: { changed: true } };
      const refused = failureOf([...(revert.errors ?? []), ...(definition.errors ?? [])], seen);
      throw refused === undefined ? unexpected(seen, changes(revert.request)) : errorOf(refused, seen);
    },

    async observe(context, request) {
      const { lookup } = actionOf(request.action);
      if (lookup === undefined) return { inPlace: null, message: 'The definition has no lookup for it.' };
      const found = await find(context, request);
      return {
        inPlace: (found !== null) === (lookup.wants === 'present'),
        message: found === null ? 'The vendor has no such entry.' : `The vendor has it as ${found.id}.`,
      };
    },

    async health(context) {
      const { health } = definition;
      if (health === undefined)
        return { ok: true, message: 'Not checked: the definition says nothing of health.' };
      const seen = await ask(context, health.request, instanceValues(context), {
        answers: [health.done],
        errors: health.errors,
      });
      return meets(health.done, seen)
        ? { ok: true, message: 'The vendor answers.' }
        : {
            ok: false,
            message: `The vendor answers HTTP ${seen.status}, which health.done does not describe.`,
          };
    },
  });
}

const NO_ANSWER: Seen = { status: 0, body: null };

type Ask = (
  context: Parameters<typeof send>[2],
  template: Parameters<typeof send>[3],
  values: Values,
  described: Parameters<typeof send>[5],
) => Promise<VendorResponse>;

interface Found {
  readonly id: string;
  /** Made by this very action, in an attempt whose answer was lost. */
  readonly ours: boolean;
}

function abilitiesOf(definition: HttpDefinition): Record<string, Abilities> {
  return Object.fromEntries(
    Object.entries(definition.actions).map(([name, action]) => [
      name,
      {
        idempotency: action.idempotency,
        cancellable: action.cancel !== undefined,
        revertible: action.revert !== undefined,
        supportsExpiry:
          action.revert !== undefined &&
          namesIn(action.execute.request).some((used) => EXPIRY_NAMES.some((expiry) => expiry === used)),
        observable: action.lookup !== undefined,
        calls: action.lookup === undefined ? 1 : 2,
      },
    ]),
  );
}

function valuesOf(
  context: CallContext,
  { parameters, effectUntil }: Request,
  operation: VendorOperation | null = null,
): Values {
  return {
    ...instanceValues(context),
    parameters: parameters as Readonly<Record<string, unknown>>,
    action: {
      id: context.actionId,
      key: context.idempotencyKey,
      tenant: context.tenantId,
      effectUntil: effectUntil?.toISOString(),
      // At least one: to many vendors 0 is for ever.
      effectSeconds:
        effectUntil === undefined
          ? undefined
          : Math.max(1, Math.ceil((effectUntil.getTime() - Date.now()) / 1000)),
    },
    operation: { id: operation?.id },
  };
}

const effectOf = (changed: boolean, id: string): EffectRecord => ({ changed, ids: [id] });

function completed(
  step: Pick<HttpAction['execute'], 'id' | 'result' | 'unchanged'>,
  seen: Seen,
  operation?: VendorOperation,
): { readonly kind: 'completed'; readonly result: Json; readonly effect: EffectRecord } {
  const { body } = seen;
  const id = (step.id === undefined ? undefined : idAt(step.id, body)) ?? operation?.id;
  return {
    kind: 'completed',
    result: Object.fromEntries(
      Object.entries(step.result ?? {}).map(([name, pointer]) => [name, (at(pointer, body) ?? null) as Json]),
    ),
    effect: { changed: !meets(step.unchanged, seen), ...(id === undefined ? {} : { ids: [id] }) },
  };
}
