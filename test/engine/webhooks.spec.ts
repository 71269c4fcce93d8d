import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ActionStatus, FailedPhase, MessageForm } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { EnvelopeSeal } from '#secrets';
import { APP, TENANT_A, TENANT_B, emptied, freshDatabaseUri, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL, completedAction, failedAction, notifierOf, webhooksOf } from '../support/notifier.js';
import { localKey } from '../support/secrets.js';
import { MailApi } from '../simulators/mail-api/mail-api.js';
import { isSignedWith } from '../simulators/notification-receiver/receiver.js';
import { SlackChannel } from '../simulators/slack/channel.js';
import { TeamsWorkflow } from '../simulators/teams/workflow.js';

/** What people are told in Slack, in Teams and by mail, each test on a database that has nothing in it yet. */

const OPERATOR = { tenantId: TENANT_A, appId: APP };

let database: Database;
let slack: SlackChannel;
let teams: TeamsWorkflow;
let mail: MailApi;
let connection: mongoose.Connection;
beforeAll(async () => {
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await database.close();
});
beforeEach(async () => {
  [slack, teams, mail] = await Promise.all([SlackChannel.start(), TeamsWorkflow.start(), MailApi.start()]);
});
afterEach(async () => {
  await Promise.all([slack.stop(), teams.stop(), mail.stop()]);
  await emptied(connection.getClient().db(connection.name));
});

interface Wish {
  readonly states?: readonly ActionStatus[];
  readonly phases?: readonly FailedPhase[] | null;
  readonly providers?: readonly string[] | null;
}

function set(
  form: MessageForm,
  { states = ['Completed', 'Failed'], phases = null, providers = null }: Wish = {},
) {
  const url = { slack, teams, email: mail }[form.template].url;
  const authorization = form.template === 'email' ? mail.authorization : null;
  const filter = { states, phases, providers };
  return webhooksOf(database).create(OPERATOR, {
    id: randomUUID(),
    name: 'SOC',
    form,
    filter,
    url,
    authorization,
  });
}

const EMAIL: MessageForm = { template: 'email', from: 'riposte@example.org', to: ['soc@example.org'] };
const FORMS: readonly MessageForm[] = [{ template: 'slack' }, { template: 'teams' }, EMAIL];

/** Tells until the condition holds. */
async function told(condition: () => boolean, workers = [notifierOf(database)]): Promise<void> {
  await eventually(async () => {
    await Promise.all(workers.map((worker) => worker.pass()));
    return condition();
  }, 20_000);
}

/** Ids of the actions of which the channel was told, in order. */
const toldInSlack = (): readonly string[] =>
  slack.seen.flatMap(({ links }) => links.map((link) => link.replace(`${PUBLIC_URL}/actions/`, '')));

describe('a webhook', () => {
  it('tells a Slack channel what became of actions, with a link, in the order in which they ended', async () => {
    await set({ template: 'slack' });
    const ids = [
      await completedAction(database),
      await failedAction(database, 'failed', {}, 'The device said no.'),
      await failedAction(database, 'outcomeUnknown'),
    ];
    await told(() => toldInSlack().length === 3);
    expect(toldInSlack()).toEqual(ids);
    expect(slack.seen.slice(1).map(({ bold }) => bold[0])).toEqual([
      'completed',
      'failed',
      'ended with an unknown outcome: find out what became of it',
    ]);
    expect(slack.seen[2]?.code).toEqual(
      expect.arrayContaining(['BlockIp', 'IP', '1.2.3.4', 'Problem', 'The device said no.', TENANT_A]),
    );
    // It could not check one.
    expect(slack.signatures.every((one) => one === undefined)).toBe(true);
  });

  it('tells a Teams channel by a card', async () => {
    await set({ template: 'teams' });
    const id = await completedAction(database);
    await told(() => teams.cards.length === 2);
    expect(teams.lines).toEqual(
      expect.arrayContaining(['BlockIp completed  Open', 'IP: 1.2.3.4', `Action: ${id}`]),
    );
    const links = teams.cards[1]?.body[0]?.inlines.flatMap(({ selectAction }) => selectAction ?? []);
    expect(links).toEqual([{ type: 'Action.OpenUrl', url: `${PUBLIC_URL}/actions/${id}` }]);
  });

  it('has mail sent, signed, and once also where an answer was lost', async () => {
    const made = await set(EMAIL);
    mail.lostAnswers = 1;
    const id = await failedAction(database, 'timedOut');
    await told(() => mail.came.length === 3);
    expect(mail.sent).toHaveLength(2);
    expect(mail.sent[1]).toMatchObject({
      from: 'riposte@example.org',
      to: ['soc@example.org'],
      subject: 'Riposte: BlockIp timed out',
      text: expect.stringContaining(`${PUBLIC_URL}/actions/${id}`) as string,
      html: expect.stringContaining('<td>1.2.3.4</td>') as string,
    });
    const secret = made.secrets.signingSecret ?? '';
    expect(mail.came.every((one) => isSignedWith(secret, one))).toBe(true);
  });

  it.each<[string, Wish, number]>([
    ['states', { states: ['NotStarted', 'Running'] }, 6],
    ['phases of what failed', { states: ['Failed'], phases: ['outcomeUnknown'] }, 1],
    ['provider instances', { providers: ['other'] }, 1],
  ])('tells of nothing but the %s that it asked for', async (_what, wish, count) => {
    await set(EMAIL, wish);
    await completedAction(database, { instance: 'other' });
    await failedAction(database, 'failed');
    await failedAction(database, 'outcomeUnknown');
    await completedAction(database, { caller: { ...newAction().caller, tenantId: TENANT_B } });
    const notifier = notifierOf(database);
    await told(() => mail.sent.length > 1, [notifier]);
    const tellsOf = mail.sent.slice(1).flatMap(({ text }) => text.match(/^Action: .*$/gm) ?? []);
    expect(tellsOf).toHaveLength(count);
  });

  it('is told of many at once, by several workers together, as often as its receiver takes it', async () => {
    await set({ template: 'slack' });
    const ids: string[] = [];
    for (let index = 0; index < 25; index += 1) ids.push(await completedAction(database));
    await told(() => toldInSlack().length >= ids.length, [notifierOf(database), notifierOf(database)]);
    expect(toldInSlack()).toEqual(ids);
    // Of ten at most; fewer only where some were found after the others.
    expect(slack.messages.length).toBeLessThan(ids.length / 2);
    expect(slack.tooSoon).toBe(0);
  });

  it('waits where its receiver says so, and goes on in order', async () => {
    await set({ template: 'slack' });
    slack.refusals = [503];
    const ids = [await completedAction(database), await completedAction(database)];
    await told(() => toldInSlack().length === 2);
    expect(toldInSlack()).toEqual(ids);
  });
});

describe('a webhook whose receiver is gone', () => {
  it('leaves dead letters, which are told after all at its new address', async () => {
    const { recipient } = await set({ template: 'slack' });
    const moved = webhooksOf(database).move(TENANT_A, recipient.id, slack.url, null);
    // Within a second of the first message.
    await expect(moved).rejects.toThrow('answered with HTTP 429');
    slack.renewAddress();
    const id = await completedAction(database);
    const letters = () => database.subscriptions.deadLetters(TENANT_A);
    await eventually(async () => {
      await notifierOf(database, { giveUpAfterMs: 0 }).pass();
      return (await letters()).length > 0;
    });
    const [letter] = await letters();
    expect(letter).toMatchObject({
      actionId: id,
      subscriptionId: recipient.id,
      problem: 'The receiver answered with HTTP 404.',
    });
    await eventually(() =>
      webhooksOf(database)
        .move(TENANT_A, recipient.id, slack.url, null)
        .then(
          () => true,
          () => false,
        ),
    );
    expect(await database.subscriptions.replay(TENANT_A, letter?.id ?? '')).toBe(true);
    await told(() => toldInSlack().length === 1);
    expect(toldInSlack()).toEqual([id]);
  });
});

describe('a webhook that is being told', () => {
  const take = async (leaseMs: number) => {
    const { subscriptions } = database;
    for (const standing of await subscriptions.standing()) await subscriptions.collect(standing, true);
    const [delivery] = await subscriptions.take(20, leaseMs, () => 5);
    return delivery;
  };

  it('is told nothing else meanwhile, a dead letter that is replayed included', async () => {
    await set(EMAIL);
    await completedAction(database);
    const first = await eventually(() => take(30_000));
    await database.subscriptions.bury(first, 0, 'gone');
    const second = await completedAction(database);
    const delivery = await eventually(() => take(30_000));
    const letter = first.notifications[0]?.id ?? '';
    expect(await database.subscriptions.replay(TENANT_A, letter)).toBe(true);
    expect(await take(30_000)).toBeUndefined();
    await database.subscriptions.delivered(delivery, 0);
    expect(delivery.notifications).toMatchObject([{ actionId: second }]);
    expect(await take(30_000)).toMatchObject({ notifications: [{ id: letter }] });
  });

  it('is freed by nobody whose turn is over', async () => {
    await set(EMAIL);
    await completedAction(database);
    const late = await eventually(() => take(1));
    await eventually(() => take(30_000));
    await database.subscriptions.delivered(late, 0);
    await database.subscriptions.postpone(late, 0, 'late');
    expect(await take(30_000)).toBeUndefined();
  });

  it('is told the same again after a try in vain, whatever changes meanwhile', async () => {
    await set(EMAIL);
    const first = await completedAction(database);
    const tried = await eventually(() => take(30_000));
    await database.subscriptions.postpone(tried, 0, 'An answer was lost.');
    const second = await completedAction(database);
    const again = await eventually(() => take(30_000));
    expect(again.notifications.map(({ actionId }) => actionId)).toEqual([first]);
    await database.subscriptions.delivered(again, 0);
    const next = await eventually(() => take(30_000));
    expect(next.notifications.map(({ actionId }) => actionId)).toEqual([second]);
  });
});

describe('a webhook that is set up', () => {
  it('is not recorded where its address does not take a first message', async () => {
    const wish = {
      id: randomUUID(),
      name: 'SOC',
      form: EMAIL,
      filter: { states: ['Failed'], phases: null, providers: null },
      url: mail.url,
      authorization: 'Bearer another',
    } as const;
    await expect(webhooksOf(database).create(OPERATOR, wish)).rejects.toThrow(
      'did not take a first message, so nothing was recorded. The receiver answered with HTTP 401.',
    );
    expect(await webhooksOf(database).list(TENANT_A)).toEqual([]);
  });

  it('is refused for a provider that the tenant does not have', async () => {
    await expect(set({ template: 'slack' }, { providers: ['mock', 'nowhere'] })).rejects.toThrow(
      'the tenant has no nowhere; it has mock, other',
    );
  });

  it('is listed where its key is gone, and works again with its address given anew', async () => {
    const { recipient } = await set(EMAIL);
    const seal = new EnvelopeSeal({ current: localKey(), others: [] });
    const webhooks = webhooksOf(database, seal);
    expect(await webhooks.list(TENANT_A)).toMatchObject([
      { secrets: null, problem: expect.stringContaining('sealed with the key') as string },
    ]);
    const moved = await webhooks.move(TENANT_A, recipient.id, mail.url, mail.authorization);
    expect(moved.secrets.signingSecret).toMatch(/^[\w-]{43}$/);
    expect(await webhooks.list(TENANT_A)).toMatchObject([{ secrets: { url: mail.url }, problem: null }]);
  });
});

const HOSTILE =
  '<!channel> <https://evil.example|click> *b* _i_ `c` [t](https://evil.example) ![i](https://evil.example/i.png) <script>alert(1)</script> & "q" \'q\'\r\nBcc: all@example.org\u202e';

describe('what others wrote', () => {
  it('is shown as it is: it mentions nobody, links nowhere, is not formatted, and no part of a form', async () => {
    for (const form of FORMS) await set(form);
    const name = HOSTILE.slice(0, 100);
    const parameters = [{ name: `<b>${HOSTILE}`, value: HOSTILE }];
    await failedAction(database, 'failed', { name, actionReason: HOSTILE, parameters }, HOSTILE);
    await told(() => slack.messages.length === 2 && teams.cards.length === 2 && mail.sent.length === 2);
    const asShown = HOSTILE.replace('\r\n', ' ').replace('\u202e', '');
    const ourLink = expect.stringContaining(`${PUBLIC_URL}/actions/`) as string;

    const [, seen] = slack.seen;
    expect(seen).toMatchObject({ links: [ourLink], bold: ['failed'], text: ':x:  failed Open' });
    expect(seen?.code).toContain(asShown.replaceAll('`', "'"));
    expect(slack.messages[1]?.text).not.toMatch(/[<>*_`]/);

    // In runs, which know no Markdown.
    expect(teams.lines).toContain(`Reason: ${asShown}`);
    const links = teams.cards[1]?.body.flatMap(({ inlines }) =>
      inlines.flatMap(({ selectAction }) => selectAction?.url ?? []),
    );
    expect(links).toEqual([ourLink]);

    const { html = '', subject = '' } = mail.sent[1] ?? {};
    const tags = new Set([...html.matchAll(/<\/?([a-z]+)/g)].map(([, tag]) => tag));
    expect(tags).toEqual(new Set(['p', 'b', 'table', 'tr', 'th', 'td', 'a']));
    expect(html.match(/href="[^"]*"/g)).toHaveLength(1);
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot; &#39;q&#39;');
    expect(subject).not.toMatch(/[\r\n\u202e]/);
  });
});

describe('a message of the largest actions there are', () => {
  it.each(['&', '\u{1f6e1}', '"'])('made of %s is one that each receiver takes', async (sign) => {
    for (const form of FORMS) await set(form);
    const parameters = Array.from({ length: 20 }, (_, index) => ({
      name: `${sign.repeat(100)}${index}`,
      value: sign.repeat(5000),
    }));
    for (let index = 0; index < 10; index += 1)
      await failedAction(
        database,
        'failed',
        { name: sign.repeat(200), actionReason: sign.repeat(1000), parameters },
        sign.repeat(1000),
      );
    await told(() => slack.messages.length === 2 && teams.cards.length === 2 && mail.sent.length >= 2);
    expect(slack.messages[1]?.blocks).toHaveLength(10);
    expect(teams.cards[1]?.body.filter(({ inlines }) => inlines.length > 2)).toHaveLength(10);
  });
});
