import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { EntryLedger } from '#domain';
import type { Database } from '#persistence';
import { defenderProvider } from '../../plugins/defender/index.js';
import {
  DEFAULT_APP,
  DEFAULT_SECRET,
  DEFAULT_TENANT,
  DefenderSimulator,
} from '../simulators/defender/simulator.js';
import { callContext } from '../support/call-context.js';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';

/** Several actions want one indicator: who has it, what it is, and when it goes. */

const { calls } = defenderProvider();
const ADDRESS = '1.2.3.4';

let database: Database;
let vendor: DefenderSimulator;
let ledger: EntryLedger;
beforeAll(async () => {
  [database, vendor] = await Promise.all([freshDatabase(), DefenderSimulator.start()]);
});
afterAll(() => vendor.stop());
beforeEach(() => {
  vendor.reset();
  ledger = database.entryLedger(randomUUID());
});

function context(actionId: string = randomUUID(), tenantId = TENANT_A) {
  const made = callContext({
    settings: {
      tenantId: DEFAULT_TENANT,
      clientId: DEFAULT_APP,
      cloud: 'commercial',
      pollEveryMs: 5000,
      neverBlock: [],
      baseUrl: vendor.baseUrl,
      loginUrl: vendor.baseUrl,
    },
    secrets: { clientSecret: DEFAULT_SECRET },
    key: actionId,
  });
  return { ...made, ledger, tenantId };
}

interface Wish {
  readonly action?: string;
  readonly until?: Date;
  readonly groups?: readonly string[];
  readonly tenantId?: string;
}

function requestOf({ action = 'BlockIp', until, groups }: Wish) {
  const isRemoval = action.startsWith('Unblock');
  return {
    action,
    parameters: {
      IP: ADDRESS,
      ...(isRemoval ? {} : { Severity: 'Medium', GenerateAlert: false }),
      ...(groups === undefined ? {} : { RbacGroupNames: groups }),
    },
    ...(until === undefined ? {} : { effectUntil: until }),
  };
}

/** Carries an action out; it can be undone then. */
async function done(wish: Wish = {}) {
  const actionId = randomUUID();
  const request = requestOf(wish);
  const outcome = await calls.execute(context(actionId, wish.tenantId), request);
  if (outcome.kind !== 'completed') throw new TypeError(`it is ${outcome.kind}`);
  const { result = null, effect = null } = outcome;
  return { ...request, actionId, completedAt: new Date(), result, effect };
}

const undo = (action: Awaited<ReturnType<typeof done>>) => calls.revert?.(context(), action);
const maintain = async () => calls.maintain?.(context());

const there = () =>
  vendor
    .tenant()
    .indicators.list({ appId: DEFAULT_APP, everybodys: true })
    .map((indicator) => ({
      action: indicator.action,
      until: indicator.expiresAt,
      groups: indicator.rbacGroupNames,
      title: indicator.title,
    }));
const actionsThere = () => there().map(({ action }) => action);
const byHand = (action: string, more: object = {}) =>
  vendor
    .tenant()
    .indicators.putInPlace({ indicatorType: 'IpAddress', indicatorValue: ADDRESS, action, ...more });
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000);

describe('two blocks of one value', () => {
  it.each([
    ['the first', [0, 1]],
    ['the second', [1, 0]],
  ] as const)(
    'share one indicator, which stays when %s is undone and goes with the other',
    async (_which, order) => {
      const blocks = [await done(), await done()];
      expect(actionsThere()).toEqual(['Block']);
      const [sooner, later] = order.map((index) => blocks[index]) as [(typeof blocks)[0], (typeof blocks)[0]];
      expect(await undo(sooner)).toMatchObject({
        result: { message: 'It stays: 1 other action wants it (Block).' },
        effect: { changed: false },
      });
      expect(actionsThere()).toEqual(['Block']);
      expect(await undo(later)).toMatchObject({ effect: { changed: true } });
      expect(actionsThere()).toEqual([]);
    },
  );

  it('cost one call to set, for the second finds it in place', async () => {
    await done();
    const before = vendor.calls();
    const second = await done();
    expect(vendor.calls() - before).toBe(1);
    expect(second).toMatchObject({
      effect: { changed: false },
      result: { message: expect.stringContaining("for another action of Riposte's") as string },
    });
  });

  it('end with the longer one, and with the shorter one when that is undone', async () => {
    const [short, long] = [inMinutes(10), inMinutes(60)];
    const first = await done({ until: long });
    await done({ until: short });
    expect(there()).toMatchObject([{ until: long.getTime() }]);
    await undo(first);
    expect(there()).toMatchObject([{ until: short.getTime() }]);
  });

  it('have no end where one of them has none', async () => {
    await done({ until: inMinutes(10) });
    await done();
    expect(there()).toMatchObject([{ until: null }]);
  });

  it('for different device groups are for both, and one for all is for all', async () => {
    const servers = await done({ groups: ['Servers'] });
    await done({ groups: ['Clients'] });
    expect(there()).toMatchObject([{ groups: ['Servers', 'Clients'] }]);
    const all = await done();
    expect(there()).toMatchObject([{ groups: [] }]);
    await undo(all);
    await undo(servers);
    expect(there()).toMatchObject([{ groups: ['Clients'] }]);
  });
});

describe('what was there before us', () => {
  it('is never removed, though two wanted it', async () => {
    byHand('Block');
    const blocks = [await done(), await done()];
    for (const block of blocks) await undo(block);
    expect(there()).toMatchObject([{ action: 'Block', title: 'by hand' }]);
    expect(vendor.facts()).toEqual([]);
  });

  it('comes back as it was when the last of two that wrote over it is undone', async () => {
    const until = inMinutes(600);
    byHand('Allowed', { title: 'Our proxy', expirationTime: until.toISOString() });
    const blocks = [await done(), await done()] as const;
    await undo(blocks[0]);
    expect(actionsThere()).toEqual(['Block']);
    await undo(blocks[1]);
    expect(there()).toMatchObject([{ action: 'Allowed', title: 'Our proxy', until: until.getTime() }]);
  });

  it("of another installation of Riposte's is somebody else's", async () => {
    byHand('Block', { description: `theirs [riposte:${randomUUID()}:0123456789ab]` });
    await undo(await done());
    expect(actionsThere()).toEqual(['Block']);
  });

  it('is not put back over what somebody has written since', async () => {
    byHand('Allowed');
    const block = await done();
    byHand('Warn');
    expect(await undo(block)).toMatchObject({ effect: { changed: false } });
    expect(actionsThere()).toEqual(['Warn']);
  });
});

describe('actions that want different things of one value', () => {
  it('the one that was asked for last counts, and the other comes back when it is undone', async () => {
    await done({ action: 'BlockIp' });
    const allow = await done({ action: 'AllowIp' });
    expect(actionsThere()).toEqual(['Allowed']);
    expect(allow.result).toMatchObject({
      warnings: [expect.stringMatching(/want it to be Block: the last one .* counts/)],
    });
    await undo(allow);
    expect(actionsThere()).toEqual(['Block']);
  });

  it('the earlier one undone leaves the later one, and nothing comes back after that', async () => {
    const block = await done({ action: 'BlockIp' });
    const allow = await done({ action: 'AllowIp' });
    await undo(block);
    expect(actionsThere()).toEqual(['Allowed']);
    await undo(allow);
    expect(actionsThere()).toEqual([]);
  });
});

describe('an unblock', () => {
  it("takes away all blocks of its tenant's, and none of another's", async () => {
    const ours = [await done(), await done()];
    const theirs = await done({ tenantId: TENANT_B });
    expect(await done({ action: 'UnblockIp' })).toMatchObject({
      effect: { changed: false },
      result: { message: 'It stays: 1 other action wants it (Block).' },
    });
    expect(actionsThere()).toEqual(['Block']);
    for (const block of ours) await undo(block);
    expect(actionsThere()).toEqual(['Block']);
    await undo(theirs);
    expect(actionsThere()).toEqual([]);
  });

  it('leaves an allow that the tenant wants, which its block had taken the place of', async () => {
    await done({ action: 'AllowIp' });
    await done({ action: 'BlockIp' });
    await done({ action: 'UnblockIp' });
    expect(actionsThere()).toEqual(['Allowed']);
  });

  it('undone blocks again, and the blocks that it took away are not its owners any more', async () => {
    const block = await done();
    const unblock = await done({ action: 'UnblockIp' });
    await undo(unblock);
    await undo(block);
    expect(actionsThere()).toEqual(['Block']);
    await done({ action: 'UnblockIp' });
    expect(actionsThere()).toEqual([]);
  });
});

describe('an action that was undone', () => {
  it('is not set by a late attempt of its own', async () => {
    const block = await done();
    await undo(block);
    await expect(calls.execute(context(block.actionId), requestOf({}))).rejects.toMatchObject({
      errorClass: 'conflict',
    });
    expect(actionsThere()).toEqual([]);
  });

  it('is gone also where its block came to be with the answer lost', async () => {
    const actionId = randomUUID();
    vendor.fault({ call: 'setIndicator', how: 'cutAfter' });
    await expect(calls.execute(context(actionId), requestOf({}))).rejects.toMatchObject({
      errorClass: 'unknownOutcome',
    });
    const lost = { ...requestOf({}), actionId, completedAt: new Date(), result: null, effect: null };
    await calls.revert?.(context(), lost);
    expect(actionsThere()).toEqual([]);
  });
});

describe('maintenance', () => {
  const aside = { checked: 1, added: 0, removed: 0, problems: [] };

  it('asks Defender nothing where nobody wants anything, and once where all is as it should be', async () => {
    const asked = async () => {
      const before = vendor.calls();
      await maintain();
      return vendor.calls() - before;
    };
    expect(await asked()).toBe(0);
    const block = await done();
    expect(await asked()).toBe(1);
    await undo(block);
    expect(await asked()).toBe(0);
  });

  it('sets again what somebody removed, once it is no matter of a list that is behind', async () => {
    const until = inMinutes(60);
    await done({ until });
    const [indicator] = vendor.tenant().indicators.list({ appId: DEFAULT_APP, everybodys: true });
    vendor.tenant().indicators.remove([indicator?.id ?? ''], { appId: DEFAULT_APP, everybodys: true });
    expect(await maintain()).toEqual(aside);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 180_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect(await maintain()).toEqual({ ...aside, added: 1 });
    expect(there()).toMatchObject([{ action: 'Block', until: until.getTime() }]);
    expect(await maintain()).toEqual(aside);
  });

  it('sets again what somebody changed of it', async () => {
    await done();
    const [indicator] = vendor.tenant().indicators.list({ appId: DEFAULT_APP, everybodys: true });
    byHand('Audit', { description: indicator?.description, generateAlert: true });
    expect(await maintain()).toEqual({ ...aside, added: 1 });
    expect(actionsThere()).toEqual(['Block']);
  });

  it('leaves alone what somebody put in its place, and says so', async () => {
    await done();
    byHand('Allowed');
    expect(await maintain()).toEqual({
      ...aside,
      problems: [
        expect.stringMatching(/IpAddress 1\.2\.3\.4: Somebody has put Allowed .* in the place of Block/),
      ],
    });
    expect(actionsThere()).toEqual(['Allowed']);
  });

  it('takes away what an action left whose end nobody saw, and never before its claim is over', async () => {
    vendor.fault({ call: 'setIndicator', how: 'cutAfter' });
    const actionId = randomUUID();
    await calls.execute(context(actionId), requestOf({})).catch(() => undefined);
    expect(await maintain()).toEqual(aside);
    expect(actionsThere()).toEqual(['Block']);
    const { list = '' } = (await ledger.all())[0] ?? {};
    // As if its time had passed.
    await ledger.hold(list, ADDRESS, { actionId, tenantId: TENANT_A, until: null, claimMs: 0, form: '{}' });
    expect(await maintain()).toEqual({ ...aside, removed: 1 });
    expect(actionsThere()).toEqual([]);
  });

  it('puts back what had been there before, where the block ended at Defender and nobody lifted it', async () => {
    byHand('Allowed');
    const until = new Date(Date.now() + 1500);
    await done({ until });
    await expect.poll(actionsThere, { timeout: 5000 }).toEqual([]);
    expect(await maintain()).toEqual({ ...aside, removed: 1 });
    expect(actionsThere()).toEqual(['Allowed']);
  });
});
