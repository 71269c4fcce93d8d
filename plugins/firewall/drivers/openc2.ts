import { randomUUID } from 'node:crypto';
import {
  ProviderError,
  Type,
  type EntryLedger,
  type HealthReport,
  type Json,
  type Provider,
  type ProviderErrorClass,
  type Static,
} from '#provider-sdk';
import type { DeviceEntry, DriverContext, FirewallDriver, NewEntry } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';
import { CONTENT_TYPE, PATH, answerIn, message, type Command, type OpenC2Answer } from './openc2-messages.js';

/**
 * A producer of OpenC2 for any consumer of the profile for stateless packet filtering. The profile has no way to ask for
 * rules: what a consumer was told is kept in the ledger, and read from there. Whether a rule is still there is found out by
 * having it made with the number that it has: a consumer refuses a number that is in use (SLPF v1.0, 2.3.2).
 */

const settings = {
  /** Where the consumer is, without the path /.well-known/openc2. */
  baseUrl: Type.String({ format: 'url', examples: ['https://consumer.example'] }),
  /** Which of the consumer's actuators is meant. Default: whichever it has. */
  assetId: Type.Optional(Type.String({ minLength: 1, maxLength: 255, examples: ['edge-1'] })),
  /** What becomes of a packet's sender: none hears nothing, reject is told, false_ack is told that all is well. */
  dropProcess: Type.Union([Type.Literal('none'), Type.Literal('reject'), Type.Literal('false_ack')], {
    default: 'none',
  }),
  direction: Type.Union([Type.Literal('both'), Type.Literal('ingress'), Type.Literal('egress')], {
    default: 'both',
  }),
  /** Looks in maintenance whether rules are still there, which needs a consumer that knows `insert_rule`. */
  checkRules: Type.Boolean({ default: false }),
};
type Settings = { readonly [Key in keyof typeof settings]: Static<(typeof settings)[Key]> };
type Context = DriverContext<Settings>;

const LIST = 'rules';
/** The profile has no batches: a command is a request. So many at the same time. */
const TOGETHER = 8;

/** A rule of the consumer, as it is kept in the ledger. */
interface Rule {
  /** The command that made it, or that was about to: sent again with this id, it is carried out once. */
  readonly command: string;
  /** Absent: it is not known whether the consumer has it. */
  readonly number?: number;
  /** When the consumer drops it by itself, ISO 8601; null: never. */
  readonly until: string | null;
  /** The rule that it takes the place of, and that may still be there. */
  readonly replaces?: number;
}

/** Milliseconds by which a rule's time may differ from the wanted one. */
const TIME_DIFFERS_MS = 5000;

/** Rules that one maintenance looks at: with more of them, they take turns. */
const MOST_CHECKED = 400;

/** Failures that another command would meet, too. */
const OF_ALL: ReadonlySet<ProviderErrorClass> = new Set(['auth', 'permission', 'rateLimited', 'unreachable']);

const driver: Omit<FirewallDriver<Settings>, 'restore'> = {
  listOf: (_settings, { kind }) =>
    kind === 'ipv4_net' || kind === 'ipv6_net'
      ? { list: LIST }
      : { refused: 'The profile for stateless packet filtering knows addresses only.' },
  expires: true,
  covers: false,
  vendorHosts: ({ baseUrl }) => [new URL(baseUrl).hostname.replace(/^\[(.*)\]$/, '$1')],

  async read(context, list) {
    const rules = await rulesOf(context, list);
    return [...rules].flatMap(([value, rule]): readonly DeviceEntry[] => {
      const { until } = rule;
      const leftMs = until === null ? null : Date.parse(until) - Date.now();
      if (leftMs !== null && leftMs <= 0 && !isOpen(rule)) return [];
      // With a time that is none it is told again: by the same command, to learn what became of it.
      return [{ value, leftMs: isOpen(rule) ? -Infinity : leftMs, isMarked: true }];
    });
  },

  async write(context, list, { remove, add }) {
    const failures = new Map<string, ProviderError>();
    const rules = await rulesOf(context, list);
    const each = async <Of>(
      all: readonly Of[],
      send: (one: Of) => Promise<void>,
      of: (one: Of) => string,
    ) => {
      for (let at = 0; at < all.length; at += TOGETHER) {
        context.signal.throwIfAborted();
        const told = await Promise.allSettled(all.slice(at, at + TOGETHER).map(send));
        for (const [index, outcome] of told.entries()) {
          if (outcome.status === 'fulfilled') continue;
          const error: unknown = outcome.reason;
          const one = all[at + index];
          if (!(error instanceof ProviderError) || OF_ALL.has(error.errorClass) || one === undefined)
            throw error;
          failures.set(of(one), error);
        }
      }
    };
    const value = (one: string): string => one;
    await each(remove, (one) => allow(context, list, one, rules.get(one)), value);
    await each(
      add,
      (entry) => deny(context, list, entry, rules.get(entry.value)),
      (entry) => entry.value,
    );
    return failures;
  },

  health,
};

/** What has lost rules made again, with a memory of its own. */
function restorer(): NonNullable<FirewallDriver<Settings>['restore']> {
  /** By instance, at which of its rules the next check begins. */
  const turns = new Map<string, number>();
  /** By instance, why its consumer is not asked any more. */
  const unfits = new Map<string, Unfit>();
  return async (context, list, values) => {
    const { instance, settings: own, signal, log } = context;
    if (!own.checkRules) return [];
    const known = unfits.get(instance);
    if (known !== undefined) throw known;
    const rules = await rulesOf(context, list);
    const settled = values.flatMap((value) => {
      const rule = rules.get(value);
      return rule === undefined || isOpen(rule) || isOver(rule) ? [] : [{ value, rule }];
    });
    const from = settled.length > MOST_CHECKED ? (turns.get(instance) ?? 0) % settled.length : 0;
    const some = [...settled.slice(from), ...settled.slice(0, from)].slice(0, MOST_CHECKED);
    turns.set(instance, from + MOST_CHECKED);
    const restored: string[] = [];
    // The first alone: it shows whether the consumer is fit for it.
    for (let at = 0, count = 1; at < some.length; at += count, count = TOGETHER) {
      signal.throwIfAborted();
      const made = some.slice(at, at + count).map(async ({ value, rule }) => {
        if (await makeAgain(context, value, rule)) restored.push(value);
      });
      for (const outcome of await Promise.allSettled(made)) {
        if (outcome.status === 'fulfilled') continue;
        const error: unknown = outcome.reason;
        if (error instanceof Unfit) unfits.set(instance, error);
        if (!(error instanceof ProviderError) || error instanceof Unfit || OF_ALL.has(error.errorClass))
          throw error;
        log.warn({ error: error.message }, 'whether a rule is still there could not be found out');
      }
    }
    return restored;
  };
}

/** A consumer that does not do with `insert_rule` as the profile has it. */
class Unfit extends ProviderError {
  constructor(why: string) {
    super(
      'permanent',
      `The OpenC2 consumer does not take insert_rule as the profile has it: ${why}. Whether its rules are still there cannot be found out; turn settings.checkRules off.`,
    );
    this.name = 'Unfit';
  }
}

/**
 * Has the consumer make a rule with the number that it has.
 *
 * @returns true where it did: the rule was lost; false where it says that the number is in use
 * @throws Unfit where it does neither
 */
async function makeAgain(context: Context, value: string, rule: Rule): Promise<boolean> {
  const isMade = async (): Promise<boolean> => {
    const told = { ...rule, command: randomUUID() };
    try {
      const number = await ruleNumber(context, value, told, rule.number);
      if (number === rule.number) return true;
      await removeRule(context, number, `${told.command}-removed`);
      throw new Unfit(`it made rule ${number} where it was asked for ${rule.number}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (/\bin use\b/i.test(error.words)) return false;
      throw error.errorClass === 'unsupported' ? new Unfit('it does not support it') : error;
    }
  };
  if (!(await isMade())) return false;
  // One that inserts at a place instead would have the rule once more each time.
  if (await isMade()) throw new Unfit(`it made rule ${rule.number} twice`);
  return true;
}

/** Makes the rule, durably noted before and after; a rule that has another time gives way to it. */
async function deny(
  context: Context,
  list: string,
  entry: NewEntry,
  before: Rule | undefined,
): Promise<void> {
  const { value, leftMs } = entry;
  if (before !== undefined && isOpen(before)) {
    // What was broken off is brought to its end as it was meant; then its time may have become another.
    const settled = await settle(context, list, value, before);
    const nowMs = settled.until === null ? Infinity : Date.parse(settled.until) - Date.now();
    if (nowMs !== (leftMs ?? Infinity) && !(Math.abs(nowMs - (leftMs ?? Infinity)) < TIME_DIFFERS_MS))
      await deny(context, list, entry, settled);
    return;
  }
  await settle(context, list, value, {
    command: randomUUID(),
    until: leftMs === null ? null : new Date(Date.now() + leftMs).toISOString(),
    ...(before?.number === undefined ? {} : { replaces: before.number }),
  });
}

function isOver({ until }: Rule): boolean {
  return until !== null && Date.parse(until) <= Date.now();
}

/** Whether something of it is still to be done. */
function isOpen({ number, replaces }: Rule): boolean {
  return number === undefined || replaces !== undefined;
}

async function settle(context: Context, list: string, value: string, begun: Rule): Promise<Rule> {
  const keep = (rule: Rule | null): Promise<void> =>
    ledgerOf(context).keepHandle(list, value, rule === null ? null : JSON.stringify(rule));
  let rule = begun;
  if (rule.number === undefined) {
    await keep(rule);
    try {
      rule = { ...rule, number: await ruleNumber(context, value, rule) };
    } catch (error) {
      // There is no such rule, for good.
      if (error instanceof ProviderError && error.next === 'fail' && rule.replaces === undefined)
        await keep(null);
      throw error;
    }
    await keep(rule);
  }
  if (rule.replaces === undefined) return rule;
  await removeRule(context, rule.replaces, `${rule.command}-replaced`);
  const { replaces: _gone, ...settled } = rule;
  await keep(settled);
  return settled;
}

/** @param wanted the number that the rule is to have. Default: what the consumer gives it */
async function ruleNumber(
  context: Context,
  value: string,
  { command, until }: Rule,
  wanted?: number,
): Promise<number> {
  const { dropProcess, direction } = context.settings;
  // Without what is the default: a consumer may refuse whatever it does not know.
  const slpf = {
    ...(dropProcess === 'none' ? {} : { drop_process: dropProcess }),
    ...(direction === 'both' ? {} : { direction }),
    ...(wanted === undefined ? {} : { insert_rule: wanted }),
  };
  const durationMs = until === null ? null : Math.max(1, Date.parse(until) - Date.now());
  const { results } = await tell(context, {
    action: 'deny',
    target: { [value.includes(':') ? 'ipv6_net' : 'ipv4_net']: value },
    args: {
      response_requested: 'complete',
      ...(durationMs === null ? {} : { duration: durationMs }),
      ...(Object.keys(slpf).length === 0 ? {} : { slpf }),
    },
    command_id: command,
  });
  const number = results?.slpf?.rule_number;
  if (number === undefined)
    throw new ProviderError(
      'permanent',
      `The OpenC2 consumer denies ${value} and does not say by which rule: it could never be taken back. It has to answer with results.slpf.rule_number.`,
    );
  return number;
}

/** Takes the rule away; one that may have been made is asked for first. */
async function allow(context: Context, list: string, value: string, rule: Rule | undefined): Promise<void> {
  const ledger = ledgerOf(context);
  if (rule !== undefined) {
    const number = rule.number ?? (await ruleNumber(context, value, rule));
    await removeRule(context, number, `${rule.command}-removed`);
    if (rule.replaces !== undefined) await removeRule(context, rule.replaces, `${rule.command}-replaced`);
  }
  await ledger.keepHandle(list, value, null);
}

async function removeRule(context: Context, number: number, id: string): Promise<void> {
  await tell(context, {
    action: 'delete',
    target: { 'slpf:rule_number': number },
    args: { response_requested: 'complete' },
    command_id: id,
  }).catch((error: unknown) => {
    // The rule is gone already.
    if (!(error instanceof ProviderError && error.errorClass === 'targetNotFound')) throw error;
  });
}

/**
 * Sends a command.
 * @throws ProviderError by the status of the response: 102 `unknownOutcome`, 400 `invalidInput`, 404 `targetNotFound`,
 *   500 `transient`, 501 `unsupported`; as `context.http` where there is no response
 */
async function tell(context: Context, command: Omit<Command, 'actuator'>): Promise<OpenC2Answer> {
  const { baseUrl, assetId } = context.settings;
  const { token } = context.secrets;
  const actuator = { slpf: assetId === undefined ? {} : { asset_id: assetId } };
  const { status, body } = await context.http.request({
    method: 'POST',
    url: new URL(PATH, baseUrl),
    headers: {
      'content-type': CONTENT_TYPE,
      accept: CONTENT_TYPE,
      'cache-control': 'no-cache',
      'x-request-id': command.command_id,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(message({ ...command, actuator }, Date.now())),
    changes: command.action !== 'query',
    accept: [400, 404, 500, 501],
  });
  const answer = answerIn(body) ?? (status >= 400 ? { status } : null);
  if (answer === null)
    throw new ProviderError(
      command.action === 'query' ? 'permanent' : 'unknownOutcome',
      `${baseUrl} answers, and not as an OpenC2 consumer does. Mend settings.baseUrl.`,
    );
  const refusal = REFUSALS[answer.status];
  if (refusal === undefined && answer.status >= 200 && answer.status < 300) return answer;
  const [errorClass, words] = refusal ?? ['permanent', 'answers with a status that there is none of'];
  const said = answer.status_text === undefined ? '' : ` (it says: ${answer.status_text.slice(0, 200)})`;
  throw new Refusal(
    errorClass,
    `The OpenC2 consumer ${words}: ${command.action}, status ${answer.status}${said}.`,
    answer,
  );
}

/** What a consumer answered instead of doing it. */
class Refusal extends ProviderError {
  /** Its status text, by which alone the profile tells some refusals apart. */
  readonly words: string;

  constructor(errorClass: ProviderErrorClass, told: string, { status, status_text = '' }: OpenC2Answer) {
    super(errorClass, told, { httpStatus: status });
    this.name = 'Refusal';
    this.words = status_text;
  }
}

/** Statuses of the language (OpenC2-Lang v1.0, 3.3.2.2). */
const REFUSALS: Readonly<Record<number, readonly [ProviderErrorClass, string]>> = {
  102: ['unknownOutcome', 'has not come to an end yet'],
  400: ['invalidInput', 'cannot read the command'],
  401: ['auth', 'does not accept the token; mend secrets.token'],
  403: ['permission', 'does not allow the command to who has the token'],
  404: ['targetNotFound', 'has no such thing'],
  500: ['transient', 'could not do it'],
  501: ['unsupported', 'does not support the command, its target or one of its arguments'],
  503: ['transient', 'is not ready'],
};

async function rulesOf(context: Context, list: string): Promise<ReadonlyMap<string, Rule>> {
  const handles = await ledgerOf(context).handles(list);
  return new Map([...handles].map(([value, text]) => [value, JSON.parse(text) as Rule]));
}

function ledgerOf({ ledger }: Context): EntryLedger {
  if (ledger === undefined) throw new TypeError('OpenC2 needs the ledger of its entries');
  return ledger;
}

async function health(context: Context): Promise<HealthReport> {
  try {
    const { results = {} } = await tell(context, {
      action: 'query',
      target: { features: ['profiles', 'pairs'] as Json },
      args: { response_requested: 'complete' },
      command_id: randomUUID(),
    });
    const { profiles = [], pairs } = results;
    if (!profiles.includes('slpf'))
      return {
        ok: false,
        message: `The OpenC2 consumer is no packet filter: its profiles are ${profiles.join(', ') || 'none'}, and slpf is needed.`,
      };
    const lacks = [
      ...(pairs?.['deny']?.some((target) => /^ipv[46]_net$/.test(target)) === false ? ['deny ipv4_net'] : []),
      ...(pairs?.['delete']?.includes('slpf:rule_number') === false ? ['delete slpf:rule_number'] : []),
    ];
    return lacks.length === 0
      ? { ok: true, message: 'The OpenC2 consumer answers, and filters packets.' }
      : { ok: false, message: `The OpenC2 consumer cannot ${lacks.join(' and ')}.` };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    return { ok: false, message: error.message };
  }
}

export const openc2 = (): Provider =>
  firewallProvider({
    vendor: 'OASIS',
    provider: 'OpenC2',
    version: '1.0.0',
    title: 'Any OpenC2 consumer of the profile for stateless packet filtering.',
    docUrl: 'https://docs.oasis-open.org/openc2/oc2slpf/v1.0/oc2slpf-v1.0.html',
    settings,
    secrets: { optional: ['token'] },
    targets: {
      ip: true,
      domain:
        'OpenC2 for stateless packet filtering cannot block a domain: it knows addresses only. Use a resolver (plugin unbound) or a feed of domains.',
      url: 'OpenC2 for stateless packet filtering cannot block a URL: it knows addresses only. Use a proxy or a feed of URLs.',
    },
    driver: { ...driver, restore: restorer() },
  });
