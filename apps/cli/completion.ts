import { Argument, Command } from 'commander';
import { ApiClient } from './api-client.js';
import { providerName, providersOf, type ShownProvider } from './providers.js';

/** Milliseconds the API may take while somebody waits at a prompt. */
const ANSWER_WITHIN_MS = 1500;
/** What the scripts call; not for people. */
const COMPLETE = 'complete-words';

/** `riposte completion`: the script that a shell completes the command `riposte` by. */
export function completionCommand(): Command {
  return new Command('completion')
    .description('Print a script that completes commands, providers and actions.')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action((shell: 'bash' | 'zsh' | 'fish') => {
      const quoted = [process.execPath, process.argv[1] ?? '']
        .map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`)
        .join(' ');
      process.stdout.write(SCRIPTS[shell](`${quoted} ${COMPLETE} --`));
    });
}

/** The hidden command that the scripts call with the words before the cursor, the last of which may be begun. */
export function completeCommand(program: Command): Command {
  return new Command(COMPLETE)
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: readonly string[]) => {
      const begun = words.at(-1) ?? '';
      const found = await candidates(program, words.slice(0, -1));
      const fitting = found.filter((word) => word.startsWith(begun));
      if (fitting.length > 0) process.stdout.write(`${fitting.join('\n')}\n`);
    });
}

async function candidates(program: Command, before: readonly string[]): Promise<readonly string[]> {
  let command = program;
  let given = 0;
  for (let index = 0; index < before.length; index += 1) {
    const word = before[index] ?? '';
    const next = command.commands.find((one) => one.name() === word);
    if (next !== undefined) command = next;
    else if (!word.startsWith('-')) given += 1;
    else if (command.options.some((one) => one.long === word && (one.required || one.optional))) index += 1;
  }
  const previous = before.at(-1) ?? '';
  const asks = command.options.find(({ long }) => long === previous);
  if (asks?.required === true) {
    const values: Readonly<Record<string, (found: readonly ShownProvider[]) => readonly string[]>> = {
      '--provider': (found) => found.map(providerName),
      '--param': (found) => parametersOf(found, before).map((name) => `${name}=`),
    };
    const value = values[previous];
    return value === undefined ? [] : value(await known());
  }
  if (command.commands.length > 0) {
    const names = command.commands.map((one) => one.name()).filter((name) => name !== COMPLETE);
    // What is done where none of them is named.
    const byDefault = command.commands.find((one) => one.name() === 'list');
    return [...names, ...(byDefault?.options ?? []).flatMap(({ long }) => long ?? [])];
  }
  const options = command.options.flatMap(({ long }) => long ?? []);
  if (given > 0) return options;
  if (command.parent?.name() === 'providers' && command.name() !== 'list')
    return [...(await known()).map(({ id }) => id), ...options];
  if (['create', 'plan', 'observe'].includes(command.name())) {
    const names = chosen(await known(), before).flatMap(({ actions }) => actions.map(({ name }) => name));
    return [...new Set(names), ...options];
  }
  return options;
}

function chosen(found: readonly ShownProvider[], before: readonly string[]): readonly ShownProvider[] {
  const at = before.indexOf('--provider');
  const name = at < 0 ? undefined : before[at + 1];
  return name === undefined ? found : found.filter((one) => providerName(one) === name);
}

function parametersOf(found: readonly ShownProvider[], before: readonly string[]): readonly string[] {
  const actions = chosen(found, before).flatMap(({ actions: all }) => all);
  const named = actions.filter(({ name }) => before.includes(name));
  return [...new Set(named.flatMap(({ parameters }) => Object.keys(parameters.properties ?? {})))];
}

/** None where the API cannot be asked: a prompt is no place for an error. */
async function known(): Promise<readonly ShownProvider[]> {
  try {
    return await providersOf(await ApiClient.open({}, process.env, ANSWER_WITHIN_MS));
  } catch {
    return [];
  }
}

const SCRIPTS: Readonly<Record<'bash' | 'zsh' | 'fish', (call: string) => string>> = {
  bash: (call) => `_riposte() {
  local IFS=$'\\n'
  local found=($(${call} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  COMPREPLY=()
  [[ \${#found[@]} -eq 0 ]] || COMPREPLY=($(printf '%q\\n' "\${found[@]}"))
  [[ \${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _riposte riposte
`,
  zsh: (call) => `#compdef riposte
_riposte() {
  local -a found
  found=(\${(f)"$(${call} "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if [[ \${found[1]} == *= ]]; then compadd -S '' -a found; else compadd -a found; fi
}
compdef _riposte riposte
`,
  fish: (call) => `function __riposte
  set -l words (commandline -opc) (commandline -ct)
  ${call} $words[2..-1] 2>/dev/null
end
complete -c riposte -f -a '(__riposte)'
`,
};
