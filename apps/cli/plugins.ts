import path from 'node:path';
import { Command } from 'commander';

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
      // npm runs scripts in the product's folder.
      const from = process.env['INIT_CWD'] ?? process.cwd();
      process.stdout.write(`${await hashOfPlugin(path.resolve(from, folder))}\n`);
    });
}
