import type { Json } from '#domain';
import { summaryOf, type Told, type Tone } from './message.js';

/**
 * Of the 28 KB that a Teams message has; it is not said how these are counted, so that this holds for UTF-8 and UTF-16.
 * https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions
 */
const MOST_BYTES = 26_000;

const COLOURS: Readonly<Record<Tone, string>> = {
  good: 'Good',
  bad: 'Attention',
  unknown: 'Warning',
  neutral: 'Default',
};

/**
 * An Adaptive Card as Teams' Workflows take it ("When a Teams webhook request is received"). All text stands in runs
 * (TextRun), which know no Markdown, so that nothing that others wrote is formatted, a link or an image. Where all
 * facts would be too long, the last ones of each are left out.
 */
export function teamsMessage(told: readonly Told[]): Json {
  const most = Math.max(0, ...told.map(({ facts }) => facts.length));
  for (let count = most; count > 0; count -= 1) {
    const message = messageOf(told, count);
    if (bytesOf(message) <= MOST_BYTES) return message;
  }
  return messageOf(told, 0);
}

function bytesOf(message: Json): number {
  const text = JSON.stringify(message);
  return Math.max(Buffer.byteLength(text), 2 * text.length);
}

function messageOf(told: readonly Told[], factCount: number): Json {
  return {
    type: 'message',
    summary: summaryOf(told),
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          msteams: { width: 'Full' },
          body: told.flatMap((one, at) => blocksOf(one, at > 0, factCount)),
        },
      },
    ],
  };
}

function blocksOf({ name, outcome, tone, facts, link }: Told, isNext: boolean, count: number): Json[] {
  const head = {
    type: 'RichTextBlock',
    separator: isNext,
    inlines: [
      run(`${name} `, { weight: 'Bolder' }),
      run(outcome, { color: COLOURS[tone] }),
      ...(link === null
        ? []
        : [run('  '), run('Open', { selectAction: { type: 'Action.OpenUrl', url: link } })]),
    ],
  };
  const rest = facts.slice(0, count).map(({ label, value }) => ({
    type: 'RichTextBlock',
    spacing: 'None',
    inlines: [run(`${label}: `, { isSubtle: true }), run(value)],
  }));
  return [head, ...rest];
}

function run(text: string, style: { readonly [key: string]: Json } = {}): Json {
  return { type: 'TextRun', text, ...style };
}
