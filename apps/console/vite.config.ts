import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Bytes, brotli: all JavaScript that the first page loads. The build fails beyond. */
const FIRST_LOAD_LIMIT = 250 * 1024;
/** What is loaded on demand, and yet before the first page is there. */
const FIRST_PARTS = ['src/shell/shell.tsx', 'src/pages/overview/overview-page.tsx'].map((file) =>
  path.join(import.meta.dirname, file),
);
/** Where `npm run dev:console` sends what is not the console's. */
const API = process.env['RIPOSTE_API'] ?? 'http://127.0.0.1:3000';
const API_PATHS = ['/api', '/ops', '/docs', '/openapi.json', '/health', '/sign-in/with', '/sign-in/callback'];

const OUT = path.resolve(import.meta.dirname, '../../dist/apps/console');

export default defineConfig({
  root: import.meta.dirname,
  cacheDir: path.resolve(import.meta.dirname, '../../node_modules/.vite-console'),
  plugins: [react(), limitFirstLoad(), precompress()],
  build: {
    outDir: OUT,
    // What the bundle holds of others, with their licences: for the notice and the list of what is shipped.
    license: { fileName: 'licences.json' },
    emptyOutDir: true,
    target: 'es2022',
    // So that `light-dark()` stays as it is.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // Small ones would become `data:` addresses, which the content security policy refuses for fonts.
    assetsInlineLimit: 0,
    // Of the polyfill an inline script would remain.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    proxy: Object.fromEntries(API_PATHS.map((prefix) => [prefix, { target: API, changeOrigin: false }])),
  },
});

/** Fails the build when the JavaScript of the first load grows too large: the entry, the overview, and what they import. */
function limitFirstLoad(): Plugin {
  return {
    name: 'riposte-limit-first-load',
    apply: 'build',
    async generateBundle(_options, bundle) {
      const chunks = new Map(
        Object.values(bundle).flatMap((file) =>
          file.type === 'chunk' ? [[file.fileName, file] as const] : [],
        ),
      );
      const wanted = [...chunks.values()]
        .filter(({ isEntry, facadeModuleId }) => isEntry || FIRST_PARTS.includes(facadeModuleId ?? ''))
        .map(({ fileName }) => fileName);
      if (wanted.length !== 1 + FIRST_PARTS.length) this.error('a part of the first load is gone');
      const first = new Set<string>();
      for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
        if (first.has(name)) continue;
        first.add(name);
        wanted.push(...(chunks.get(name)?.imports ?? []));
      }
      const sizes = await Promise.all(
        [...first].map(async (name) => (await brotli(Buffer.from(chunks.get(name)?.code ?? ''))).byteLength),
      );
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const said = `first load: ${Math.ceil(total / 1024)} KiB of JavaScript, compressed; at most ${FIRST_LOAD_LIMIT / 1024}`;
      if (total > FIRST_LOAD_LIMIT) this.error(said);
      this.info(said);
    },
  };
}

/** Writes `.br` and `.gz` beside every text file, for the server to send as they are. */
function precompress(): Plugin {
  return {
    name: 'riposte-precompress',
    apply: 'build',
    async writeBundle() {
      const entries = await readdir(OUT, { recursive: true, withFileTypes: true });
      const files = entries.filter(
        (entry) => entry.isFile() && /\.(?:js|css|svg|webmanifest)$/.test(entry.name),
      );
      await Promise.all(
        files.map(async ({ parentPath, name }) => {
          const file = path.join(parentPath, name);
          const content = await readFile(file);
          await Promise.all([
            brotli(content).then((bytes) => writeFile(`${file}.br`, bytes)),
            promisify(gzip)(content, { level: 9 }).then((bytes) => writeFile(`${file}.gz`, bytes)),
          ]);
        }),
      );
    },
  };
}

function brotli(content: Buffer): Promise<Buffer> {
  return promisify(brotliCompress)(content, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.byteLength },
  });
}
