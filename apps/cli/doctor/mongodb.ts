import { DatabaseInspection } from '#persistence';
import { RefusedError } from '../database.js';
import { tellClock } from './clock.js';
import { reasonOf, type FindingCode, type Findings } from './finding.js';
import type { Installation } from './installation.js';
import { isOlder } from './machine.js';

const ANSWER_WITHIN_MS = 5000;
/** The oldest that Riposte is tried with. */
const LEAST_VERSION = '6.0.0';
/** Milliseconds: readiness gives a write 2,000. */
const SLOW_WRITE_MS = 500;
const GIB = 2 ** 30;
/** Shares of a disk, and what of it is enough however large it is. */
const LITTLE_FREE = { share: 0.15, bytes: 50 * GIB };
const TOO_LITTLE_FREE = { share: 0.05, bytes: 5 * GIB };
const SHORT_OPLOG_HOURS = 24;
const NOT_TOLD = 'this user may not ask';

/** MongoDB: that it keeps what it acknowledges, and has what the product needs of it. */
export async function checkMongodb(installation: Installation, findings: Findings): Promise<void> {
  let found: DatabaseInspection;
  try {
    found = await DatabaseInspection.open(await installation.mongodbUri(), ANSWER_WITHIN_MS);
  } catch (error) {
    findings.problem(
      'mongodb.reachable',
      error instanceof RefusedError ? error.message : `MongoDB cannot be used: ${reasonOf(error)}`,
      'Check MONGODB_URI, that MongoDB runs, and that this machine may reach it.',
    );
    return;
  }
  try {
    findings.ok('mongodb.reachable', 'MongoDB answers');
    const canWrite = tellTopology(found, findings);
    await Promise.all([
      ask(findings, 'mongodb.version', () => tellVersion(found, findings)),
      ...(found.topology.kind === 'replicaSet'
        ? [
            ask(findings, 'mongodb.members', () => tellMembers(found, findings)),
            ask(findings, 'mongodb.journal', () => tellJournal(found, findings)),
            ask(findings, 'mongodb.oplog', () => tellOplog(found, findings)),
          ]
        : []),
      ask(findings, 'mongodb.disk', () => tellDisk(found, findings)),
      ...(canWrite
        ? [
            tellWrite(found, findings),
            ask(findings, 'mongodb.indexes', () => tellIndexes(found, findings)),
            ask(findings, 'mongodb.clock', async () =>
              tellClock(findings, 'mongodb.clock', 'MongoDB', await found.clockAheadMs()),
            ),
          ]
        : []),
    ]);
  } finally {
    await found.close();
  }
}

/** One question that is not answered leaves the others. */
async function ask(findings: Findings, code: FindingCode, tell: () => Promise<void>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    findings.warning(
      code,
      `could not be found out: ${reasonOf(error)}`,
      'Look at MongoDB, and run it again.',
    );
  }
}

/** @returns whether there is something to write to */
function tellTopology({ topology }: DatabaseInspection, findings: Findings): boolean {
  const code = 'mongodb.topology';
  switch (topology.kind) {
    case 'sharded':
      findings.ok(code, 'a sharded cluster');
      return true;
    case 'standalone':
      findings.problem(
        code,
        'a standalone server: there is no majority to acknowledge a write, and no stream of changes',
        'Make it a replica set; one member is enough (--replSet rs0, then rs.initiate()).',
      );
      return false;
    case 'replicaSet': {
      const { name, primary, members } = topology;
      if (primary === null) {
        findings.problem(
          code,
          `replica set ${name} has no primary: nothing can be written`,
          'Bring enough members back for a majority (rs.status()).',
        );
        return false;
      }
      findings.ok(code, `replica set ${name} of ${members}, primary ${primary}`);
      return true;
    }
  }
}

async function tellVersion(found: DatabaseInspection, findings: Findings): Promise<void> {
  const version = await found.version();
  if (isOlder(version, LEAST_VERSION))
    findings.warning(
      'mongodb.version',
      `MongoDB ${version}`,
      `Riposte is tried with ${LEAST_VERSION} and newer: upgrade MongoDB.`,
    );
  else findings.ok('mongodb.version', `MongoDB ${version}`);
}

async function tellMembers(found: DatabaseInspection, findings: Findings): Promise<void> {
  const unwell = await found.unwellMembers();
  if (unwell === null) findings.unknown('mongodb.members', NOT_TOLD);
  else if (unwell.length === 0) findings.ok('mongodb.members', 'all members are well');
  else
    findings.warning(
      'mongodb.members',
      `not well: ${unwell.join(', ')}`,
      'Bring them back: with one more away there may be no majority.',
    );
}

async function tellJournal(found: DatabaseInspection, findings: Findings): Promise<void> {
  const journals = await found.journalsMajority();
  if (journals === null) findings.unknown('mongodb.journal', NOT_TOLD);
  else if (journals) findings.ok('mongodb.journal', 'a majority write is one in the journals');
  else
    findings.problem(
      'mongodb.journal',
      'writeConcernMajorityJournalDefault is false: what was acknowledged can be lost when power fails',
      'Set it to true by rs.reconfig().',
    );
}

async function tellWrite(found: DatabaseInspection, findings: Findings): Promise<void> {
  try {
    const ms = await found.majorityWrite();
    if (ms === null)
      findings.warning(
        'mongodb.write',
        'this user may not write',
        'Where it is that of the API or of a worker, give it its role: riposte setup users.',
      );
    else if (ms > SLOW_WRITE_MS)
      findings.warning(
        'mongodb.write',
        `a majority write took ${Math.round(ms)} ms`,
        'Look at disks, load and the network between the members.',
      );
    else findings.ok('mongodb.write', `a majority has a write in its journals after ${Math.round(ms)} ms`);
  } catch (error) {
    findings.problem(
      'mongodb.write',
      `a majority write fails: ${reasonOf(error)}`,
      'Bring enough members back, and look at their disks: no action is accepted meanwhile.',
    );
  }
}

async function tellIndexes(found: DatabaseInspection, findings: Findings): Promise<void> {
  const states = await found.indexes();
  if (states === null) {
    findings.unknown('mongodb.indexes', NOT_TOLD);
    return;
  }
  const of = (wanted: (typeof states)[number]['state']) =>
    states.filter(({ state }) => state === wanted).map(({ collection, name }) => `${collection}.${name}`);
  const [missing, building, different] = [of('missing'), of('building'), of('different')];
  if (missing.length === states.length)
    findings.warning(
      'mongodb.indexes',
      'there are none: nothing has been started on this database yet',
      'Start the API or a worker: it makes them.',
    );
  else if (missing.length > 0)
    findings.problem(
      'mongodb.indexes',
      `missing: ${missing.join(', ')}`,
      'Restart a process whose user may make indexes: it makes what is missing.',
    );
  if (building.length > 0)
    findings.warning(
      'mongodb.indexes',
      `being built: ${building.join(', ')}`,
      'Wait until it has been built; where that never ends, a member that has to vote for it is away.',
    );
  if (different.length > 0)
    findings.problem(
      'mongodb.indexes',
      `of other options than they have to be: ${different.join(', ')}`,
      'Drop each (db.COLLECTION.dropIndex(NAME)), and restart a process: it makes them.',
    );
  if (missing.length + building.length + different.length === 0)
    findings.ok('mongodb.indexes', `all ${states.length} are there`);
}

async function tellDisk(found: DatabaseInspection, findings: Findings): Promise<void> {
  const disk = await found.disk();
  if (disk === null) {
    findings.unknown('mongodb.disk', NOT_TOLD);
    return;
  }
  const free = disk.totalBytes - disk.usedBytes;
  const isBelow = ({ share, bytes }: typeof LITTLE_FREE) => free < Math.min(bytes, share * disk.totalBytes);
  const told = `${(free / GIB).toFixed(1)} of ${(disk.totalBytes / GIB).toFixed(1)} GiB are free`;
  const fix = 'Give it room, or set a retention: a member whose disk is full ends.';
  if (isBelow(TOO_LITTLE_FREE)) findings.problem('mongodb.disk', told, fix);
  else if (isBelow(LITTLE_FREE)) findings.warning('mongodb.disk', told, fix);
  else findings.ok('mongodb.disk', told);
}

async function tellOplog(found: DatabaseInspection, findings: Findings): Promise<void> {
  const oplog = await found.oplog();
  if (oplog === null) {
    findings.unknown('mongodb.oplog', NOT_TOLD);
    return;
  }
  const hours = oplog.hours < 10 ? oplog.hours.toFixed(1) : String(Math.round(oplog.hours));
  if (oplog.isFull && oplog.hours < SHORT_OPLOG_HOURS)
    findings.warning(
      'mongodb.oplog',
      `it goes back ${hours} h: a member that is away for longer has to copy everything anew`,
      'Make it larger: db.adminCommand({ replSetResizeOplog: 1, size: MEGABYTES }) on each member.',
    );
  else findings.ok('mongodb.oplog', `it goes back ${hours} h${oplog.isFull ? '' : ', and is not full yet'}`);
}
