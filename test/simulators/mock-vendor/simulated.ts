import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import type { LedgerEntry } from './ledger.js';
import type { RunningVendor } from './start.js';

const WHAT: Partial<Record<LedgerEntry['event'], VendorEffect['what']>> = {
  executed: 'did',
  cancelled: 'stopped',
  undone: 'undid',
};

/** The mock vendor as the conformance kit wants one: its effects are what the ledger got since the last reset. */
export function simulated({ baseUrl, ledgerFile }: RunningVendor): SimulatedVendor {
  let from = 0;
  const tell = async (method: string, path: string, body: object = {}): Promise<unknown> => {
    const answer = await fetch(new URL(path, baseUrl), { method, body: JSON.stringify(body) });
    return answer.json();
  };
  return {
    baseUrl,
    async reset() {
      await tell('POST', '/reset');
      from += newer(ledgerFile, from).length;
    },
    effects: () =>
      newer(ledgerFile, from)
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as LedgerEntry)
        .flatMap((entry) => {
          const what = WHAT[entry.event];
          return what === undefined || !('target' in entry)
            ? []
            : [{ what, target: entry.target, key: entry.key }];
        }),
    async finish(id) {
      const { finished } = (await tell('POST', `/operations/${encodeURIComponent(id)}`)) as {
        readonly finished: boolean;
      };
      return finished;
    },
    async sayStatus(status) {
      await tell('PUT', '/status', { status });
    },
    async preexisting(action, sample) {
      await tell('PUT', '/effects', { action, target: JSON.stringify(sample) });
    },
  };
}

/** What was written to the file from this byte on. */
function newer(file: string, from: number): Buffer {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(fstatSync(handle).size - from);
    readSync(handle, bytes, 0, bytes.length, from);
    return bytes;
  } finally {
    closeSync(handle);
  }
}
