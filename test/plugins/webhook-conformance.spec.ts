import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { CHECK_IDS, checkConformance, formatReport } from '#provider-sdk/conformance';
import { declaredProvider } from '../../plugins/http/index.js';
import { DocumentedReceiver } from '../simulators/webhook-receiver/documented.js';
import { WebhookReceiver } from '../simulators/webhook-receiver/receiver.js';

/** The webhook with a receiver that deduplicates as the documentation asks it to. */

const definition = `
kind: webhook
vendor: Ourselves
provider: Runbooks
version: 1.0.0
actions:
  LockBadge:
    title: Locks a badge at the doors
    parameters: { Badge: { type: string, examples: ['B-1007'] } }
    required: [Badge]
    target: Badge
    revertible: true
  AuditDoor:
    title: Goes through the records of a door
    parameters:
      Door: { type: string, examples: ['D-3'] }
      Pin: { type: string, writeOnly: true, examples: ['0000'] }
    required: [Door]
    target: Door
    cancellable: true
`;
const [first, second] = ['secret-of-the-first', 'secret-of-the-second'];

let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await WebhookReceiver.start([first, second]);
});
afterAll(() => receiver.stop());

it('passes the conformance kit with work that takes a while, cancels and undoing', async () => {
  const instance = (signingSecret: string): object => ({
    settings: { url: `${receiver.baseUrl}/hook` },
    secrets: { signingSecret },
  });
  const report = await checkConformance({
    provider: () => declaredProvider(definition, 'hook.provider.yaml'),
    instances: [instance(first), instance(second)] as never,
    samples: { LockBadge: { Badge: 'B-1007' }, AuditDoor: { Door: 'D-3', Pin: 'pin-of-the-door' } },
    vendor: receiver,
    interleavings: 40,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
});

it('passes the conformance kit with the receiver in Node of the documentation', async () => {
  const command = ['--input-type=module', '-e'];
  const documented = await DocumentedReceiver.start('js', process.execPath, command, first);
  onTestFinished(() => documented.stop());
  const instance = (signingSecret: string): object => ({
    settings: { url: documented.url },
    secrets: { signingSecret },
  });
  const [lockBadge = ''] = definition.replace('    revertible: true\n', '').split('  AuditDoor:');
  const report = await checkConformance({
    provider: () => declaredProvider(lockBadge, 'hook.provider.yaml'),
    instances: [instance(first), instance(second)] as never,
    samples: { LockBadge: { Badge: 'B-1007' } },
    vendor: documented,
    // It holds one secret only.
    only: CHECK_IDS.filter((id) => id !== 'separateTokens'),
  });
  expect(formatReport(report)).toContain(' 0 failed,');
});
