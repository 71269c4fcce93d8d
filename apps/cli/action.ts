import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { ACTION_HEADS, actionRow, waitsFor, type ShownAction } from './action-view.js';
import { ApiClient, CommandError, EXIT, apiCommand, type ApiOptions } from './api-client.js';
import { givenPath } from './given-path.js';
import { Progress, print } from './output.js';

const NATIVE = '/api/v1/actions';
const GRAPH = '/v1.0/security/securityActions';
const LOOK_FIRST_MS = 200;
const LOOK_EVERY_MS = 2000;

interface RequestOptions extends ApiOptions {
  readonly provider: string;
  readonly param: readonly string[];
  readonly paramFile: readonly string[];
}
interface CreateOptions extends RequestOptions {
  readonly reason?: string;
  readonly context?: string;
  readonly idempotencyKey?: string;
  readonly startBefore?: string;
  readonly effectUntil?: string;
  readonly wait?: true;
}

/** `riposte action`: one action, from its request to its end. */
export function actionCommand(): Command {
  return new Command('action')
    .description('Ask for an action, follow it, stop it, undo it.')
    .addCommand(createCommand())
    .addCommand(getCommand())
    .addCommand(cancelCommand())
    .addCommand(waitCommand())
    .addCommand(resolveCommand())
    .addCommand(revertCommand())
    .addCommand(askCommand('plan', 'Ask what it would do. Nothing is changed.'))
    .addCommand(askCommand('observe', 'Ask whether its effect is in place now. Nothing is changed.'));
}

function createCommand(): Command {
  return requestCommand('create', 'Ask for an action.')
    .option('--reason <text>', 'why, for the record')
    .option('--context <text>', 'your own reference, for example a case number')
    .option('--idempotency-key <key>', 'the same key again makes no second action; by default a new one')
    .option('--start-before <time>', 'not begun after it: 30m, 2h, 7d from now, or an ISO 8601 time')
    .option('--effect-until <time>', 'its effect is lifted then: 30m, 2h, 7d from now, or an ISO 8601 time')
    .option('--wait', 'until it has ended')
    .action(async (name: string, options: CreateOptions) => {
      const times = timesOf(options);
      const { body, secret } = await requestOf(name, options);
      const api = await ApiClient.open(options, process.env);
      const key = options.idempotencyKey ?? randomUUID();
      const id = await sent(
        async () =>
          idIn(
            await api.post(
              GRAPH,
              {
                ...body,
                ...times,
                actionReason: options.reason ?? null,
                clientContext: options.context ?? null,
              },
              { 'idempotency-key': key },
            ),
          ),
        `It may have been recorded. To send it again without a second action: --idempotency-key ${key}`,
      );
      // Before anything that may fail, or be ended by who waits.
      tell(`Recorded as action ${id}. To send it again without a second action: --idempotency-key ${key}`);
      const action = await (options.wait === true ? ended(api, id, true) : recorded(api, id));
      show(options, withoutValues(action, secret), options.wait === true);
    });
}

function getCommand(): Command {
  return idCommand('get', 'Show an action.').action(async (id: string, options: ApiOptions) => {
    show(options, await native(await ApiClient.open(options, process.env), id), false);
  });
}

function cancelCommand(): Command {
  return idCommand('cancel', 'Stop an action.').action(async (id: string, options: ApiOptions) => {
    const api = await ApiClient.open(options, process.env);
    await sent(
      () => api.post(`${GRAPH}/${encodeURIComponent(id)}/cancelSecurityAction`),
      'Its cancel may have been accepted. To ask for it again does no harm.',
    );
    const action = await recorded(api, id).catch((error: unknown) => {
      tell(`The cancel of action ${id} was accepted, and stands.`);
      throw error;
    });
    show(options, action, false);
  });
}

function waitCommand(): Command {
  return idCommand('wait', 'Wait until it has ended.').action(async (id: string, options: ApiOptions) => {
    show(options, await ended(await ApiClient.open(options, process.env), id, false), true);
  });
}

function resolveCommand(): Command {
  return idCommand('resolve', 'Say what became of an action whose outcome is unknown.')
    .requiredOption('--verdict <verdict>', 'applied or notApplied')
    .requiredOption('--note <text>', 'how it was found out')
    .action(async (id: string, options: ApiOptions & { readonly verdict: string; readonly note: string }) => {
      const api = await ApiClient.open(options, process.env);
      const { verdict, note } = options;
      show(options, await api.post<ShownAction>(`${addressOf(id)}/resolve`, { verdict, note }), false);
    });
}

function revertCommand(): Command {
  return idCommand('revert', 'Undo a completed action, by another one.')
    .option('--wait', 'until that has ended')
    .action(async (id: string, options: ApiOptions & { readonly wait?: true }) => {
      const api = await ApiClient.open(options, process.env);
      const undoing = await sent(
        () => api.post<ShownAction>(`${addressOf(id)}/revert`),
        'Its revert may have been recorded. To ask for it again makes no second one.',
      );
      if (options.wait !== true) return show(options, undoing, false);
      const undoingId = idIn(undoing);
      tell(`Recorded as action ${undoingId}.`);
      show(options, await ended(api, undoingId, true), true);
    });
}

function askCommand(kind: 'plan' | 'observe', description: string): Command {
  return requestCommand(kind, description).action(async (name: string, options: RequestOptions) => {
    const { body } = await requestOf(name, options);
    const api = await ApiClient.open(options, process.env);
    const answer = await api.post<{
      readonly summary?: string;
      readonly changes?: readonly string[];
      readonly warnings?: readonly string[];
      readonly inPlace?: boolean | null;
      readonly message?: string;
    }>(`${NATIVE}/${kind}`, body);
    print(options, answer, () =>
      kind === 'plan'
        ? [
            ['PLAN', answer.summary],
            ...(answer.changes ?? []).map((change) => ['change', change]),
            ...(answer.warnings ?? []).map((warning) => ['warning', warning]),
          ]
        : [
            ['IN PLACE', 'MESSAGE'],
            [answer.inPlace === true ? 'yes' : answer.inPlace === false ? 'no' : 'unknown', answer.message],
          ],
    );
  });
}

function idCommand(name: string, description: string): Command {
  return apiCommand(name, description).argument('<id>', "the action's id");
}

function requestCommand(name: string, description: string): Command {
  const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  return apiCommand(name, description)
    .argument('<name>', 'an action of the provider, for example BlockIp')
    .requiredOption('--provider <vendor/provider>', 'or vendor/provider/subProvider')
    .option('--param <name=value>', 'repeatable; name=@- reads the value from stdin', collect, [])
    .option('--param-file <name=path>', 'repeatable; the value is what the file holds', collect, []);
}

/** The body to send, and the names of the values that are not to be shown: those that were not on the command line. */
async function requestOf(name: string, { provider, param, paramFile }: RequestOptions) {
  const [vendor, product, subProvider, ...more] = provider.split('/');
  if (!vendor || !product || more.length > 0)
    throw new CommandError(
      EXIT.usage,
      `--provider has to be vendor/provider, for example Mock/Mock; it is "${provider}".`,
    );
  const secret = new Set<string>();
  const parameters: { name: string; value: string }[] = [];
  for (const given of param) {
    const [key, value] = pairOf('--param', given);
    if (value === '@-') secret.add(key);
    parameters.push({ name: key, value: value === '@-' ? withoutEnd(await text(process.stdin)) : value });
  }
  for (const given of paramFile) {
    const [key, file] = pairOf('--param-file', given);
    secret.add(key);
    parameters.push({ name: key, value: withoutEnd(await contentOf(file)) });
  }
  const vendorInformation = { vendor, provider: product, subProvider: subProvider ?? null };
  return { body: { name, parameters, vendorInformation }, secret };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The engine's options of a request, as the API takes them. */
function timesOf({ startBefore, effectUntil }: CreateOptions): Readonly<Record<string, string>> {
  return {
    ...(startBefore === undefined ? {} : { '@riposte.startBefore': timeOf('--start-before', startBefore) }),
    ...(effectUntil === undefined ? {} : { '@riposte.effectUntil': timeOf('--effect-until', effectUntil) }),
  };
}

function timeOf(option: string, given: string): string {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(given) ?? [];
  if (amount !== undefined) return new Date(Date.now() + Number(amount) * (UNIT_MS[unit] ?? 0)).toISOString();
  // Without an offset it would be another moment on another machine.
  if (/^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})$/i.test(given) && !Number.isNaN(Date.parse(given)))
    return new Date(given).toISOString();
  throw new CommandError(
    EXIT.usage,
    `${option} has to be a time from now, for example 2h, or one such as 2026-01-31T18:00:00Z; it is "${given}".`,
  );
}

/** The text itself stays out of the message: it may hold a secret. */
function pairOf(option: string, given: string): [string, string] {
  const at = given.indexOf('=');
  if (at < 1)
    throw new CommandError(
      EXIT.usage,
      `${option} has to be name=value, for example ${option} IP=203.0.113.7`,
    );
  return [given.slice(0, at), given.slice(at + 1)];
}

async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(givenPath(file), 'utf8');
  } catch (cause) {
    throw new CommandError(
      EXIT.usage,
      `--param-file: ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}).`,
      { cause },
    );
  }
}

/** An editor's, or `echo`'s, line end is not part of a value. */
function withoutEnd(value: string): string {
  return value.replace(/\r?\n$/, '');
}

function native(api: ApiClient, id: string): Promise<ShownAction> {
  return api.get<ShownAction>(addressOf(id));
}

/** As {@link native}, of one that is known to be there. */
function recorded(api: ApiClient, id: string): Promise<ShownAction> {
  return api.getAtLast<ShownAction>(addressOf(id));
}

/** What it posts; where nobody can say whether that was done, `advice` is told. */
async function sent<T>(post: () => Promise<T>, advice: string): Promise<T> {
  try {
    return await post();
  } catch (error) {
    if (error instanceof CommandError && error.exitCode >= EXIT.outcomeUnknown) tell(advice);
    throw error;
  }
}

/** @throws CommandError where an answer that was to tell of an action does not */
function idIn(answer: unknown): string {
  const { id } = (answer ?? {}) as { readonly id?: unknown };
  if (typeof id === 'string') return id;
  throw new CommandError(EXIT.outcomeUnknown, 'The answer names no action. Check RIPOSTE_URL.');
}

function tell(words: string): void {
  process.stderr.write(`${words}\n`);
}

/** @param isRecorded whether it is known to be there */
async function ended(api: ApiClient, id: string, isRecorded: boolean): Promise<ShownAction> {
  const progress = new Progress();
  try {
    let read = isRecorded ? recorded : native;
    for (let waitMs = LOOK_FIRST_MS; ; waitMs = Math.min(waitMs * 1.5, LOOK_EVERY_MS)) {
      const action = await read(api, id);
      read = recorded;
      if (action.status === 'Completed' || action.status === 'Failed') return action;
      const why = waitsFor(action);
      progress.show(
        `${id} ${action.name}: ${action.status}, ${action.phase ?? ''}${why === null ? '' : `. ${why}`}`,
      );
      await sleep(waitMs);
    }
  } finally {
    progress.clear();
  }
}

function addressOf(id: string): string {
  return `${NATIVE}/${encodeURIComponent(id)}`;
}

/** @param counts whether the exit code tells how it ended */
function show(options: ApiOptions, action: ShownAction, counts: boolean): void {
  print(options, action, () => [ACTION_HEADS, actionRow(action)]);
  if (counts && action.status === 'Failed')
    process.exitCode = action.phase === 'outcomeUnknown' ? EXIT.outcomeUnknown : EXIT.actionFailed;
}

function withoutValues(action: ShownAction, secret: ReadonlySet<string>): ShownAction {
  const parameters = action.parameters.map(({ name, value }) => ({
    name,
    value: secret.has(name) ? '[redacted]' : value,
  }));
  return { ...action, parameters };
}
