import { Command } from 'commander';
import { givenPath } from './given-path.js';

/** `riposte plugins`: third-party plugins, before they are used. */
export function pluginsCommand(): Command {
  return new Command('plugins')
    .description('Look at third-party plugins before they are used.')
    .addCommand(hashCommand());
}

function hashCommand(): Command {
  return new Command('hash')
    .description('Print what `sha256` has to be in the configuration for the package as it is now.')
    .argument('<folder>', "the package's folder; where it is installed, that in node_modules")
    .action(async (folder: string) => {
      const { hashOfPlugin } = await import('#plugin-host');
      process.stdout.write(`${await hashOfPlugin(givenPath(folder))}\n`);
    });
}
