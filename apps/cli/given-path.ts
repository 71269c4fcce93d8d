import path from 'node:path';

/**
 * The file or folder that somebody named on the command line, as an absolute path: relative to where they called from,
 * since npm runs scripts in the product's folder.
 */
export function givenPath(given: string): string {
  return path.resolve(process.env['INIT_CWD'] ?? process.cwd(), given);
}
