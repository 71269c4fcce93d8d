import { Command } from 'commander';
import { ApiClient, apiCommand, type ApiOptions } from './api-client.js';
import { print } from './output.js';

const PATH = '/api/v1/providers';

/** What is read here of a provider instance. */
export interface ShownProvider {
  readonly id: string;
  readonly vendor: string;
  readonly provider: string;
  readonly subProvider: string | null;
  readonly plugin: { readonly name: string; readonly version: string };
  readonly actions: readonly {
    readonly name: string;
    readonly title: string;
    readonly lane: string;
    readonly cancellable: boolean;
    readonly revertible: boolean;
    readonly observable: boolean;
    readonly parameters: {
      readonly properties?: Readonly<Record<string, unknown>>;
      readonly required?: readonly string[];
    };
  }[];
  readonly health: { readonly ok: boolean; readonly message: string } | null;
  /** Null: nobody can say now. */
  readonly quota:
    readonly { readonly calls: number; readonly perSeconds: number; readonly left: number }[] | null;
  readonly breaker: string;
  readonly backlog: { readonly waiting: number | null };
  readonly paused: { readonly at: string; readonly reason: string } | null;
}

interface Health {
  readonly ok: boolean;
  readonly message: string;
  readonly checks?: readonly { readonly name: string; readonly ok: boolean; readonly message: string }[];
}

/** `riposte providers`: what the vendors' instances can do and how they fare. */
export function providersCommand(): Command {
  return new Command('providers')
    .description('Show the provider instances; pause and resume them.')
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(showCommand())
    .addCommand(pauseCommand())
    .addCommand(resumeCommand())
    .addCommand(healthCommand());
}

/** The instances that the caller sees. */
export async function providersOf(api: ApiClient): Promise<readonly ShownProvider[]> {
  return (await api.get<{ readonly value: readonly ShownProvider[] }>(PATH)).value;
}

/** As `--provider` takes it. */
export function providerName({ vendor, provider, subProvider }: ShownProvider): string {
  return [vendor, provider, ...(subProvider === null ? [] : [subProvider])].join('/');
}

function listCommand(): Command {
  return apiCommand('list', 'Show all of them, with their health, quota and backlog.').action(
    async (options: ApiOptions) => {
      const found = await providersOf(await ApiClient.open(options, process.env));
      print(options, found, () => tableOf(found));
    },
  );
}

function showCommand(): Command {
  return apiCommand('show', 'Show one, with its version, its actions and their parameters.')
    .argument('<id>', 'as `providers list` shows it')
    .action(async (id: string, options: ApiOptions) => {
      const api = await ApiClient.open(options, process.env);
      const found = await api.get<ShownProvider>(pathOf(id));
      print(
        options,
        found,
        () => tableOf([found]),
        () => [
          ['ACTION', 'LANE', 'CAN BE', 'PARAMETERS', 'TITLE'],
          ...found.actions.map((action) => [
            action.name,
            action.lane,
            [
              action.cancellable ? 'cancelled' : '',
              action.revertible ? 'reverted' : '',
              action.observable ? 'observed' : '',
            ]
              .filter((word) => word !== '')
              .join(','),
            Object.keys(action.parameters.properties ?? {})
              .map((name) => (action.parameters.required?.includes(name) === true ? name : `[${name}]`))
              .join(' '),
            action.title,
          ]),
        ],
      );
    });
}

function pauseCommand(): Command {
  return apiCommand('pause', 'Start nothing there until it is resumed. For operators.')
    .argument('<id>', 'as `providers list` shows it')
    .requiredOption('--reason <text>', 'why; shown with the instance')
    .action(async (id: string, options: ApiOptions & { readonly reason: string }) => {
      const api = await ApiClient.open(options, process.env);
      const found = await api.post<ShownProvider>(`${pathOf(id)}/pause`, { reason: options.reason });
      print(options, found, () => tableOf([found]));
    });
}

function resumeCommand(): Command {
  return apiCommand('resume', 'Let it go on. For operators.')
    .argument('<id>', 'as `providers list` shows it')
    .action(async (id: string, options: ApiOptions) => {
      const api = await ApiClient.open(options, process.env);
      const found = await api.post<ShownProvider>(`${pathOf(id)}/resume`);
      print(options, found, () => tableOf([found]));
    });
}

function healthCommand(): Command {
  return apiCommand('health', 'Ask it now how it fares; exits with 1 when something is wrong. For operators.')
    .argument('<id>', 'as `providers list` shows it')
    .action(async (id: string, options: ApiOptions) => {
      const api = await ApiClient.open(options, process.env);
      const report = await api.post<Health>(`${pathOf(id)}/health`);
      const word = (ok: boolean): string => (ok ? 'ok' : 'wrong');
      print(options, report, () => [
        ['CHECK', 'STATE', 'MESSAGE'],
        [id, word(report.ok), report.message],
        ...(report.checks ?? []).map(({ name, ok, message }) => [name, word(ok), message]),
      ]);
      if (!report.ok) process.exitCode = 1;
    });
}

function pathOf(id: string): string {
  return `${PATH}/${encodeURIComponent(id)}`;
}

function tableOf(found: readonly ShownProvider[]) {
  return [
    ['ID', 'PROVIDER', 'PLUGIN', 'HEALTH', 'BREAKER', 'QUOTA LEFT', 'WAITING', 'PAUSED'],
    ...found.map((one) => [
      one.id,
      providerName(one),
      `${one.plugin.name} ${one.plugin.version}`,
      one.health === null ? null : one.health.ok ? 'ok' : one.health.message,
      one.breaker,
      one.quota === null
        ? 'unknown: Redis is away'
        : one.quota.map(({ left, calls, perSeconds }) => `${left} of ${calls}/${perSeconds}s`).join(', '),
      one.backlog.waiting,
      one.paused === null ? null : `${one.paused.at} ${one.paused.reason}`,
    ]),
  ];
}
