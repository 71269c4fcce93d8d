import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';
import { SlackChannel } from '../simulators/slack/channel.js';

/** Workers that die while changes are to be told. */

const KILLS = 6;
const ACTIONS_A_ROUND = 40;

const config = `
providers: [{ id: mock, plugin: mock }]
notifications: { network: { allow: ['127.0.0.0/8'] } }
`;

let stack: Stack;
let receiver: NotificationReceiver;
let slack: SlackChannel;
let client: Client;

beforeAll(async () => {
  receiver = await NotificationReceiver.start();
  slack = await SlackChannel.start();
  stack = await Stack.start({ config, workers: 2 });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
  await slack.stop();
});

describe('a subscriber, and people in Slack,', () => {
  it('are told every change of every action, in order, although workers are killed all the time', async () => {
    const { status } = await client.post(
      {
        changeType: 'created,updated',
        notificationUrl: receiver.url,
        resource: 'security/securityActions',
        expirationDateTime: new Date(Date.now() + 3_600_000).toISOString(),
      },
      '/beta/subscriptions',
    );
    expect(status).toBe(201);
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    const webhook = { name: 'SOC', template: 'slack', url: slack.url };
    expect((await operator.post(webhook, '/api/v1/webhooks')).status).toBe(201);
    const ids: string[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      ids.push(
        ...(await Promise.all(
          Array.from({ length: ACTIONS_A_ROUND }, () => client.act('BlockIp', { IP: `192.0.2.${kill}` })),
        )),
      );
      receiver.refusals = [503, 500];
      // Somewhere in the work, another place each time.
      await sleep(200 + kill * 300);
      const worker = stack.workers.shift();
      await worker?.end('SIGKILL');
      await stack.startWorker().ready();
    }
    // One may come twice, after a worker that died between its answer and the record of it.
    const firstsOf = (id: string): readonly (string | undefined)[] => {
      const own = receiver.taken.filter((one) => one.resourceData?.id === id);
      return own
        .filter((one, at) => own.findIndex((other) => other.id === one.id) === at)
        .map((one) => one.changeType);
    };
    await eventually(() => ids.every((id) => firstsOf(id).length === 3), 120_000);
    expect(ids.map(firstsOf)).toEqual(ids.map(() => ['created', 'updated', 'updated']));
    const inSlack = (): ReadonlySet<string> => new Set(slack.seen.flatMap(({ code }) => code));
    await eventually(() => ids.every((id) => inSlack().has(id)), 120_000);
  }, 400_000);
});
