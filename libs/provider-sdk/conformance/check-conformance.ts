import { deadline, shutdown, unknownStatus } from './checks/answers.js';
import { cancelAfterDone, cancelBeforeSubmit, cancelRace, cancelWhilePending } from './checks/cancelling.js';
import { NO_VENDOR, type Check } from './checks/check.js';
import { manifestClaims, onlyContextHttp, readOnlyCalls, schemaRoundTrip } from './checks/declaration.js';
import { executeTwice, killAfterSave, killBeforeSave, lostAnswer } from './checks/once.js';
import { declaredQuota, rateLimited } from './checks/quota.js';
import { revertPreexisting, revertTwice } from './checks/reverting.js';
import { secretsStayInside, separateTokens } from './checks/secrets.js';
import type { ConformanceOptions } from './options.js';
import { CHECKS, CHECK_IDS, type CheckResult, type ConformanceReport, type Verdict } from './report.js';
import { Rig } from './rig.js';
import { Scene, inWords } from './scene.js';

/** In the order in which they say most: what others stand on first, and last what listens to all of them. */
const ALL: readonly Check[] = [
  schemaRoundTrip,
  manifestClaims,
  readOnlyCalls,
  executeTwice,
  killBeforeSave,
  lostAnswer,
  killAfterSave,
  cancelBeforeSubmit,
  cancelWhilePending,
  cancelAfterDone,
  cancelRace,
  rateLimited,
  declaredQuota,
  unknownStatus,
  deadline,
  shutdown,
  revertTwice,
  revertPreexisting,
  onlyContextHttp,
  separateTokens,
  secretsStayInside,
];

const SHORTEST_SECRET = 8;

/**
 * Tries a plugin against its author's simulator of the vendor, over real HTTP, with answers lost, workers that die,
 * 429s and cancels at the worst moments. Each check is explained in docs/plugins/conformance.md. The simulator's state
 * is reset again and again; run nothing else against it.
 *
 * @returns what each check came to. A plugin that fails a check makes no exception
 * @throws TypeError for options that cannot be tried: settings that the manifest refuses, secrets that are too short or
 *   the same, a vendor that does not listen by plain http
 */
export async function checkConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  checkOptions(options);
  const rig = await Rig.start(options);
  try {
    const results = new Map<string, CheckResult>();
    const scene = await Scene.on(rig);
    for (const check of ALL) {
      if (options.only !== undefined && !options.only.includes(check.id)) continue;
      const verdict = await judged(check, scene, (id) => results.get(id)?.outcome === 'failed');
      results.set(check.id, { id: check.id, title: CHECKS[check.id], ...verdict });
    }
    const { vendor, provider, version } = rig.manifest;
    const checks = [...results.values()];
    return {
      plugin: `${vendor}/${provider} ${version}`,
      passed: checks.every(({ outcome }) => outcome !== 'failed'),
      checks,
      leftOut: options.leaveOut ?? {},
    };
  } finally {
    await rig.stop();
  }
}

async function judged(check: Check, scene: Scene, failed: (id: string) => boolean): Promise<Verdict> {
  if (check.needsVendor && scene.rig.options.vendor === null)
    return { outcome: 'notApplicable', why: NO_VENDOR };
  const cause = (check.after ?? []).find(failed);
  if (cause !== undefined)
    return { outcome: 'notApplicable', why: `it says nothing of its own while ${cause} fails` };
  const { proxy } = scene.rig;
  if (proxy !== null) proxy.hookFailure = undefined;
  try {
    const verdict = await check.run(scene);
    const hookFailure = proxy?.hookFailure;
    if (hookFailure === undefined) return verdict;
    throw hookFailure;
  } catch (error) {
    return {
      outcome: 'failed',
      problems: [
        {
          action: null,
          what: `the check could not be made (${inWords(error)})`,
          fix: 'See that the simulator answers, and that none of its hooks throws.',
        },
      ],
    };
  }
}

function checkOptions({
  instances,
  interleavings = 1,
  callTimeoutMs = 100,
  only = [],
}: ConformanceOptions): void {
  for (const id of only) {
    if (!CHECK_IDS.includes(id))
      throw new TypeError(`only: "${id}" is no check; there are ${CHECK_IDS.join(', ')}`);
  }
  if (!Number.isInteger(interleavings) || interleavings < 1 || interleavings > 100_000)
    throw new TypeError(
      `interleavings is ${interleavings}; it has to be a whole number from 1 to 100000, for example 1000`,
    );
  if (!(callTimeoutMs >= 100 && callTimeoutMs <= 600_000))
    throw new TypeError(
      `callTimeoutMs is ${callTimeoutMs}; it has to be from 100 to 600000, for example 10000`,
    );
  if (instances.length !== 2)
    throw new TypeError('instances has to hold two, so that it shows whether they mix');
  const values = instances.map(({ secrets = {} }) => Object.entries(secrets));
  for (const [index, entries] of values.entries()) {
    for (const [name, value] of entries) {
      if (value.length < SHORTEST_SECRET)
        throw new TypeError(
          `instances[${index}].secrets.${name} is shorter than ${SHORTEST_SECRET} characters, so it could not be told from other text; give one like "canary-7f3a91"`,
        );
    }
  }
  const [first = [], second = []] = values;
  for (const [name, value] of first) {
    if (second.some(([, other]) => other === value))
      throw new TypeError(
        `instances[0].secrets.${name} is also a secret of instances[1]; give each instance its own`,
      );
  }
}
