import { badRequest } from './refusal.js';

/** A command as it is asked for. */
export interface Command {
  readonly type: string;
  readonly params: readonly { readonly key: string; readonly value: string }[];
}

/** A command as an action shows it. */
export interface CommandRun {
  readonly index: number;
  readonly command: Command;
  commandStatus: 'Created' | 'Completed' | 'Failed';
  startedAt: number | null;
  endedAt: number | null;
  errors: string[];
  /** What its link leads to. */
  result: string | null;
}

/** What the library holds: scripts by their exit codes, and other files. */
export const DEFAULT_LIBRARY: Readonly<Record<string, number>> = {
  'collect.ps1': 0,
  'cleanup.ps1': 0,
  'fails.ps1': 1,
  'tool.exe': 0,
};

const ORDER = ['PutFile', 'RunScript', 'GetFile'];
const NEEDED: Readonly<Record<string, string>> = {
  PutFile: 'FileName',
  RunScript: 'ScriptName',
  GetFile: 'Path',
};

/**
 * Checks the commands of a live response: known ones, in their order, of files the library has.
 * @throws Refusal 400
 */
export function parseCommands(given: unknown, library: Readonly<Record<string, number>>): readonly Command[] {
  if (!Array.isArray(given) || given.length === 0)
    throw badRequest('MissingRequiredParameter', 'Commands is required');
  const commands = (given as readonly Partial<Command>[]).map(({ type, params }): Command => {
    const needed = NEEDED[type ?? ''];
    if (type === undefined || needed === undefined)
      throw badRequest('InvalidInput', `Command type ${String(type)} is not supported`);
    const list = Array.isArray(params) ? (params as Command['params']) : [];
    if (!list.some(({ key, value }) => key === needed && typeof value === 'string' && value !== ''))
      throw badRequest('MissingRequiredParameter', `Command ${type} needs the parameter ${needed}`);
    return { type, params: list };
  });
  const places = commands.map(({ type }) => ORDER.indexOf(type));
  if (places.some((place, index) => place < (places[index - 1] ?? 0)))
    throw badRequest('InvalidInput', `Commands must be in the order ${ORDER.join(', ')}`);
  for (const command of commands) {
    const name = command.type === 'GetFile' ? null : parameterOf(command, NEEDED[command.type] ?? '');
    if (name !== null && !(name in library))
      throw badRequest('InvalidInput', `File ${name} was not found in the library`);
  }
  return commands;
}

export function toRun(command: Command, index: number): CommandRun {
  return {
    index,
    command,
    commandStatus: 'Created',
    startedAt: null,
    endedAt: null,
    errors: [],
    result: null,
  };
}

/**
 * Carries the commands out at a moment. A script that exits with another code than 0 is Completed all the same: only
 * its result tells. `fails` makes the first command fail, which leaves the others out.
 */
export function runCommands(
  runs: readonly CommandRun[],
  library: Readonly<Record<string, number>>,
  at: number,
  fails: boolean,
): void {
  for (const run of runs) {
    run.startedAt = at;
    run.endedAt = at;
    if (fails) {
      run.commandStatus = 'Failed';
      run.errors = ['The command failed on the device'];
      return;
    }
    run.commandStatus = 'Completed';
    run.result = resultOf(run.command, library);
  }
}

function resultOf(command: Command, library: Readonly<Record<string, number>>): string | null {
  switch (command.type) {
    case 'RunScript': {
      const name = parameterOf(command, 'ScriptName');
      const exitCode = library[name] ?? 0;
      return JSON.stringify({
        script_name: name,
        exit_code: exitCode,
        script_output: exitCode === 0 ? `done: ${parameterOf(command, 'Args')}` : '',
        script_errors: exitCode === 0 ? '' : 'the script failed',
      });
    }
    case 'GetFile':
      return `the bytes of ${parameterOf(command, 'Path')}`;
    default:
      return null;
  }
}

function parameterOf({ params }: Command, name: string): string {
  return params.find(({ key }) => key === name)?.value ?? '';
}
