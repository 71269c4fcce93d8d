import { Command } from 'commander';
import { ApiClient, CommandError, EXIT, apiCommand, type ApiOptions } from './api-client.js';
import { actionRow, ACTION_HEADS, type ShownAction } from './action-view.js';
import { print } from './output.js';

interface ListOptions extends ApiOptions {
  readonly filter?: string;
  readonly phase?: string;
  readonly unresolved?: true;
  readonly top: string;
}

/** `riposte actions`: lists of a tenant's actions. */
export function actionsCommand(): Command {
  return new Command('actions')
    .description("Show a tenant's actions.")
    .addCommand(listCommand(), { isDefault: true });
}

function listCommand(): Command {
  return apiCommand('list', 'Show them, newest first.')
    .option('--filter <expression>', "OData, for example: status eq 'Failed'")
    .option('--phase <phase>', 'only those in this phase, for example throttled')
    .option('--unresolved', 'only those of which nobody can say whether they were applied')
    .option('--top <number>', 'how many, at most 1000', '100')
    .action(async (options: ListOptions) => {
      const { filter, phase, unresolved, top } = options;
      if (filter !== undefined && (phase !== undefined || unresolved !== undefined))
        throw new CommandError(EXIT.usage, '--filter cannot be given together with --phase or --unresolved.');
      const address =
        filter === undefined
          ? `/api/v1/actions?${new URLSearchParams({
              top,
              ...(phase === undefined ? {} : { phase }),
              ...(unresolved === undefined ? {} : { unresolved: 'true' }),
            }).toString()}`
          : `/v1.0/security/securityActions?${new URLSearchParams({ $filter: filter, $top: top }).toString()}`;
      const api = await ApiClient.open(options, process.env);
      const { value } = await api.get<{ readonly value: readonly ShownAction[] }>(address);
      print(options, value, () => [ACTION_HEADS, ...value.map(actionRow)]);
    });
}
