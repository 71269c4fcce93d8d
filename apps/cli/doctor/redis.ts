import { REDIS_VERSIONS, type RedisFacts } from '#queue';
import { RefusedError } from '../database.js';
import { tellClock } from './clock.js';
import { reasonOf, type Findings } from './finding.js';
import type { Installation } from './installation.js';
import { isOlder } from './machine.js';

/** Milliseconds: a hint has 300 for all that it takes. */
const SLOW_MS = 20;
const TOO_SLOW_MS = 100;
const MUCH_USED = 0.75;
const TOO_MUCH_USED = 0.9;
const MIB = 2 ** 20;
const NOT_TOLD = 'this user may not ask (INFO)';

/** Redis: that it keeps the queue, and answers soon enough. */
export async function checkRedis(installation: Installation, findings: Findings): Promise<void> {
  let facts: RedisFacts;
  try {
    facts = await installation.redis();
  } catch (error) {
    findings.problem(
      'redis.reachable',
      error instanceof RefusedError ? error.message : `Redis cannot be used: ${reasonOf(error)}`,
      'Check REDIS_URL, that Redis runs, and that this machine may reach it. Actions are accepted meanwhile, and wait.',
    );
    return;
  }
  findings.ok('redis.reachable', 'Redis answers');
  tellVersion(facts, findings);
  tellRole(facts, findings);
  tellPersistence(facts, findings);
  tellMemory(facts, findings);
  tellWrite(facts, findings);
  tellLatency(facts, findings);
  tellClock(findings, 'redis.clock', 'Redis', facts.clockAheadMs);
}

function tellVersion({ version }: RedisFacts, findings: Findings): void {
  const { least, recommended } = REDIS_VERSIONS;
  if (version === null) findings.unknown('redis.version', NOT_TOLD);
  else if (isOlder(version, least))
    findings.problem('redis.version', `Redis ${version}`, `BullMQ needs ${least} or newer: upgrade Redis.`);
  else if (isOlder(version, recommended))
    findings.warning('redis.version', `Redis ${version}`, `Upgrade to ${recommended} or newer.`);
  else findings.ok('redis.version', `Redis ${version}`);
}

function tellRole({ isReplica }: RedisFacts, findings: Findings): void {
  if (isReplica === null) findings.unknown('redis.role', NOT_TOLD);
  else if (isReplica)
    findings.problem('redis.role', 'a replica, which takes no writes', 'Let REDIS_URL lead to the primary.');
  else findings.ok('redis.role', 'a primary');
}

function tellPersistence({ appendOnly }: RedisFacts, findings: Findings): void {
  const code = 'redis.persistence';
  if (appendOnly === null) findings.unknown(code, NOT_TOLD);
  else if (!appendOnly.isOn)
    findings.warning(
      code,
      'there is no append-only file: after a restart the queue is empty until the sweep has filled it again',
      'Set appendonly yes, in redis.conf and by CONFIG SET.',
    );
  else if (!appendOnly.lastWriteWorked)
    findings.problem(
      code,
      'the last write to the append-only file failed',
      'Look at its disk and its log: Redis refuses writes until it works.',
    );
  else findings.ok(code, 'an append-only file');
}

function tellMemory({ memory }: RedisFacts, findings: Findings): void {
  if (memory === null) {
    findings.unknown('redis.eviction', NOT_TOLD);
    findings.unknown('redis.memory', NOT_TOLD);
    return;
  }
  const { policy, usedBytes, mostBytes } = memory;
  if (policy === 'noeviction') findings.ok('redis.eviction', 'nothing is thrown away to make room');
  else
    findings.problem(
      'redis.eviction',
      `maxmemory-policy is ${policy}: Redis may throw parts of the queue away`,
      'Set maxmemory-policy noeviction, in redis.conf and by CONFIG SET.',
    );
  const used = `${Math.round(usedBytes / MIB)} MiB are used`;
  if (mostBytes === 0) {
    findings.ok('redis.memory', `${used}, without a limit`);
    return;
  }
  const told = `${used} of ${Math.round(mostBytes / MIB)}`;
  const fix = 'Raise maxmemory: a Redis that is full refuses writes, and actions wait for the sweep.';
  if (usedBytes > TOO_MUCH_USED * mostBytes) findings.problem('redis.memory', told, fix);
  else if (usedBytes > MUCH_USED * mostBytes) findings.warning('redis.memory', told, fix);
  else findings.ok('redis.memory', told);
}

function tellWrite({ writeProblem }: RedisFacts, findings: Findings): void {
  switch (writeProblem) {
    case null:
      findings.ok('redis.write', 'a write works');
      return;
    case 'NOPERM':
      findings.problem(
        'redis.write',
        'this user may not write',
        'Give the user of REDIS_URL the rules of deploy/redis/users.acl: no action gets into the queue without.',
      );
      return;
    case 'OOM':
    case 'MISCONF':
    case 'READONLY':
    default:
      findings.problem(
        'redis.write',
        `a write is refused (${writeProblem})`,
        'OOM: raise maxmemory. MISCONF: look at its disk. READONLY: it is a replica. Else look at its log.',
      );
  }
}

function tellLatency({ latencyMs }: RedisFacts, findings: Findings): void {
  const told = `a round trip takes ${latencyMs.toFixed(1)} ms`;
  const fix =
    'Bring it nearer, and look at its load: with 300 ms a hint is given up, and the sweep comes a second later.';
  if (latencyMs > TOO_SLOW_MS) findings.problem('redis.latency', told, fix);
  else if (latencyMs > SLOW_MS) findings.warning('redis.latency', told, fix);
  else findings.ok('redis.latency', told);
}
