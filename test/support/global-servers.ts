import type { TestProject } from 'vitest/node';
// Vitest loads its global setup without the `riposte-source` condition, so `#embedded-servers` would mean dist/.
import { startTestServers } from '../../libs/embedded-servers/index.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** A MongoDB replica set shared by all test files; each uses databases of its own. */
    readonly mongodbUri: string;
    readonly redisUrl: string;
  }
}

/** Starts the servers of the whole run, by the same launcher as the product's. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await startTestServers((message) => console.log(message));
  project.provide('mongodbUri', servers.mongodbUri);
  project.provide('redisUrl', servers.redisUrl);
  return () => servers.stop();
}
