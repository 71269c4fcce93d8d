import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf, run, type Way } from './binary.js';
import { cached, findBelow, sha256 } from './fetched.js';
import { stillReporting, type Report } from './report.js';

const VERSION = '7.0.28';
const HOST = 'https://fastdl.mongodb.org';
/** Milliseconds without a byte after which the vendor's server counts as out of reach. */
const SILENCE_MS = 10_000;

/** MongoDB's own archive for this machine, checked against the checksum its vendor publishes beside it. */
export const officialMongod: Way = {
  name: `official download of MongoDB ${VERSION}`,
  async find(report, signal) {
    const archive = await archiveFor();
    return cached(`mongodb-${VERSION}`, 'mongod', async (dir) => {
      report(`Fetching mongod: MongoDB ${VERSION} from ${new URL(HOST).host}`);
      const published = fetchText(`${HOST}/${archive}.sha256`, signal);
      const expected =
        (await stillReporting(report, 'Waiting for an answer', published)).trim().split(/\s/)[0] ?? '';
      if (!/^[0-9a-f]{64}$/.test(expected)) throw new Error('the vendor gave no checksum');
      const file = path.join(dir, 'mongodb.tgz');
      await download(`${HOST}/${archive}`, file, report, signal);
      const found = await sha256(file);
      if (found !== expected) throw new Error(`its SHA-256 is ${found}, not ${expected}; it was not used`);
      report('Unpacking mongod');
      const unpacked = run('tar', ['-xzf', file, '-C', dir], { timeout: 300_000, signal });
      await stillReporting(report, 'Still unpacking mongod', unpacked);
      return findBelow(dir, 'mongod');
    });
  },
};

async function archiveFor(): Promise<string> {
  const arch =
    process.arch === 'arm64'
      ? process.platform === 'darwin'
        ? 'arm64'
        : 'aarch64'
      : process.arch === 'x64'
        ? 'x86_64'
        : null;
  if (arch === null) throw new Error(`none exists for ${process.arch}`);
  if (process.platform === 'darwin') return `osx/mongodb-macos-${arch}-${VERSION}.tgz`;
  if (process.platform !== 'linux') throw new Error(`none is known for ${process.platform}`);
  return `linux/mongodb-linux-${arch}-${await distribution(arch)}-${VERSION}.tgz`;
}

async function distribution(arch: string): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  // oxlint-disable-next-line security/detect-non-literal-regexp -- the keys are these below
  const value = (key: string): string => new RegExp(`^${key}="?([^"\\n]*)`, 'm').exec(release)?.[1] ?? '';
  const id = value('ID');
  const major = Number.parseInt(value('VERSION_ID'), 10);
  // Of 7.0 there is no build for Ubuntu 24.04, nor for Debian on arm64: that for 22.04 runs on both.
  if (id === 'debian' && major >= 12) return arch === 'x86_64' ? 'debian12' : 'ubuntu2204';
  if (id === 'ubuntu' || id === 'linuxmint' || id === 'pop') return 'ubuntu2204';
  // Before the next: it calls itself like Fedora.
  if (id === 'amzn') return 'amazon2023';
  if (/\b(?:rhel|centos|rocky|almalinux|fedora|ol)\b/.test(`${id} ${value('ID_LIKE')}`))
    return major === 8 ? (arch === 'x86_64' ? 'rhel80' : 'rhel82') : 'rhel90';
  throw new Error(`none is known for ${id || 'this distribution'} ${value('VERSION_ID')} ${arch}`);
}

async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(SILENCE_MS)]),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.text();
  } catch (cause) {
    throw new Error(`${new URL(url).host} is out of reach: ${messageOf((cause as Error).cause ?? cause)}`, {
      cause,
    });
  }
}

async function download(url: string, file: string, report: Report, signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, silence.signal]) });
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    const total = Number(response.headers.get('content-length') ?? 0);
    let received = 0;
    let saidAt = Number.NEGATIVE_INFINITY;
    const counted = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
        received += chunk.byteLength;
        if (performance.now() - saidAt > 1000) {
          saidAt = performance.now();
          report(
            `Downloading MongoDB ${VERSION}: ${total > 0 ? `${Math.floor((100 * received) / total)} %` : `${Math.round(received / 1_048_576)} MiB`}`,
          );
        }
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body as never), counted, createWriteStream(file));
  } finally {
    clearTimeout(timer);
  }
}
