import { randomBytes } from 'node:crypto';
import { eventually } from './eventually.js';
import type { OtlpReceiver, ReceivedSpan } from './otlp-receiver.js';

/** Kinds of OTLP. */
export const SERVER = 2;
export const CLIENT = 3;
export const PRODUCER = 4;
export const CONSUMER = 5;

/** What a caller sends who has a trace of its own. */
export function ownTrace(): { readonly traceId: string; readonly spanId: string; readonly header: string } {
  const traceId = randomBytes(16).toString('hex');
  const spanId = randomBytes(8).toString('hex');
  return { traceId, spanId, header: `00-${traceId}-${spanId}-01` };
}

/** The spans of an action's trace, once it has those that every action has, and so many of each of these. */
export async function spansOfTrace(
  receiver: OtlpReceiver,
  traceId: string,
  expected: Readonly<Record<string, number>> = {},
): Promise<readonly ReceivedSpan[]> {
  const least = Object.entries({ submit: 1, enqueue: 1, dispatch: 1, ...expected });
  let spans: readonly ReceivedSpan[] = [];
  await eventually(() => {
    spans = receiver.spans.filter((span) => span.traceId === traceId);
    return least.every(([name, count]) => spans.filter((span) => span.name === name).length >= count);
  });
  return spans;
}

/** The trace that the action was submitted in. */
export async function traceIdOf(receiver: OtlpReceiver, actionId: string): Promise<string> {
  const submitted = await eventually(() =>
    receiver.spans.find(
      ({ name, attributes }) => name === 'submit' && attributes['riposte.action.id'] === actionId,
    ),
  );
  return submitted.traceId;
}

/** Spans of this name, by the claim or the attempt that they are of. */
export function named(spans: readonly ReceivedSpan[], name: string): ReceivedSpan[] {
  return spans.filter((span) => span.name === name).toSorted((a, b) => epochOf(a) - epochOf(b));
}

/** @throws Error where there is none */
export function one(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [span] = named(spans, name);
  if (span === undefined) throw new Error(`no ${name} among ${spans.map((known) => known.name).join(', ')}`);
  return span;
}

function epochOf({ attributes }: ReceivedSpan): number {
  return Number(attributes['riposte.epoch'] ?? attributes['riposte.attempt'] ?? 0);
}
