import { stat } from 'node:fs/promises';
import path from 'node:path';
import { keyFileOf } from '#secrets';
import type { RiposteConfig } from '#config';
import type { Findings } from './finding.js';
import type { Installation } from './installation.js';

/** What a file is for, and so who may do what with it. */
type Kind = 'folder' | 'key' | 'secret' | 'code';

const OTHERS_WRITE = 0o002;
const OTHERS = 0o007;
const GROUP_WRITES = 0o020;
const NOT_THE_OWNER = 0o077;
/** A folder for all, as /tmp: what is in it is its owner's alone. */
const STICKY = 0o1000;

/** Who may read and write the files that an installation keeps. */
export async function checkFiles(installation: Installation, findings: Findings): Promise<void> {
  const { env, dataDir, configFile } = installation;
  const config = await installation.config().catch(() => null);
  const files: readonly (readonly [file: string, kind: Kind])[] = [
    [dataDir, 'folder'],
    [path.join(dataDir, 'issuer-key.json'), 'key'],
    ...(env['RIPOSTE_SECRETS_KEY']
      ? []
      : [[keyFileOf({ ...env, RIPOSTE_DATA_DIR: dataDir }), 'key'] as const]),
    [configFile, 'code'],
    ...(env['TLS_KEY'] ? [[env['TLS_KEY'], 'secret'] as const] : []),
    ...(config === null ? [] : namedIn(config, path.dirname(configFile))),
  ];
  let looked = 0;
  for (const [file, kind] of new Map(files)) {
    // What is not there and has to be, other checks tell.
    const mode = await stat(file).then(
      (found) => found.mode,
      () => null,
    );
    if (mode === null) continue;
    looked += 1;
    judge(file, kind, mode, findings);
  }
  if (findings.all.length === 0)
    findings.ok('files.mode', `${looked} files and folders are whose they have to be`);
}

function judge(file: string, kind: Kind, mode: number, findings: Findings): void {
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  const right = kind === 'folder' ? '700' : kind === 'code' ? 'go-w' : '600';
  const fix = `chmod ${right} ${file}`;
  const told = (level: 'warning' | 'problem', what: string): void =>
    findings[level]('files.mode', `${what} (mode ${shown})`, fix, file);
  if ((mode & OTHERS_WRITE) !== 0 && !(kind === 'folder' && (mode & STICKY) !== 0))
    return told('problem', 'every user of this machine may change it');
  switch (kind) {
    case 'key':
      if ((mode & OTHERS) !== 0) return told('problem', 'every user of this machine may read this key');
      if ((mode & NOT_THE_OWNER) !== 0) return told('warning', 'its group may read this key');
      return;
    case 'secret':
      if ((mode & GROUP_WRITES) !== 0) return told('problem', 'its group may change this secret');
      if ((mode & OTHERS) !== 0) return told('warning', 'every user of this machine may read this secret');
      return;
    case 'folder':
      if ((mode & GROUP_WRITES) !== 0) return told('problem', 'its group may put files into it');
      if ((mode & NOT_THE_OWNER) !== 0) return told('warning', 'others than its owner may look into it');
      return;
    case 'code':
  }
}

/** Of a configuration, what runs and what is secret. */
function namedIn(
  { plugins, providers, console: { issuers } }: RiposteConfig,
  folder: string,
): readonly (readonly [file: string, kind: Kind])[] {
  const references = [
    ...providers.flatMap(({ secrets, network: { clientKey } }) => [
      ...Object.values(secrets),
      clientKey ?? '',
    ]),
    ...issuers.map(({ clientSecret }) => clientSecret ?? ''),
  ];
  return [
    ...Object.values(plugins)
      .map(({ package: from, definition }) => definition ?? from ?? '')
      .filter((named) => named.startsWith('.') || path.isAbsolute(named))
      .map((named) => [path.resolve(folder, named), 'code'] as const),
    ...references
      .filter((reference) => reference.startsWith('file:'))
      .map((reference) => [reference.slice('file:'.length), 'secret'] as const),
  ];
}
