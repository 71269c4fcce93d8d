import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoReplicaSet, findMongod } from '#embedded-servers';

/** A MongoDB of one member that can be told to misbehave, by its own fail points. */
export interface FailingMongod {
  readonly uri: string;
  readonly members: MongoReplicaSet['members'];
  /** @returns how often a command has failed so far */
  failCommands(
    mode: 'off' | 'alwaysOn' | { readonly times: number } | { readonly skip: number },
    data: object,
  ): Promise<number>;
  stop(): Promise<void>;
}

export async function startFailingMongod(): Promise<FailingMongod> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-failing-'));
  const set = await MongoReplicaSet.start({
    binary: await findMongod(() => undefined),
    dir,
    members: 1,
    cacheSizeGB: 0.25,
    parameters: ['enableTestCommands=1'],
    report: () => undefined,
  });
  return {
    uri: set.uri,
    members: set.members,
    failCommands: async (mode, data) => {
      const answer = await set.members[0]?.command({ configureFailPoint: 'failCommand', mode, data });
      return Number(answer?.['count']);
    },
    stop: async () => {
      await set.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
