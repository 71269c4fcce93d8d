/** How the user called this program, for its help: by its npm script, or, in a container, by its file. */
export function commandName(script: 'riposte' | 'token'): string {
  return process.env['npm_lifecycle_event'] === script
    ? `npm run --silent ${script} --`
    : `node dist/apps/cli/${script}.js`;
}
