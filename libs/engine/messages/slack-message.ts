import type { Json } from '#domain';
import { summaryOf, type Told, type Tone } from './message.js';

/** https://docs.slack.dev/reference/block-kit/composition-objects/text-object */
const MOST_TEXT = 3000;

const SIGNS: Readonly<Record<Tone, string>> = {
  good: ':white_check_mark:',
  bad: ':x:',
  unknown: ':grey_question:',
  neutral: ':small_blue_diamond:',
};

/**
 * A message for a Slack incoming webhook: a section each, 50 at most. What others wrote stands as code, where Slack knows no
 * formatting and no emoji, with `&`, `<` and `>` escaped, without which there is no mention and no link.
 */
export function slackMessage(told: readonly Told[]): Json {
  return {
    // What phones show, and where blocks cannot be.
    text: escaped(summaryOf(told).replaceAll(FORMATTING, ' ')),
    unfurl_links: false,
    unfurl_media: false,
    blocks: told.map((one) => ({
      type: 'section',
      text: { type: 'mrkdwn', verbatim: true, text: sectionOf(one) },
    })),
  };
}

/** What formats text, or makes an emoji of it. */
const FORMATTING = /[*_~`:]/g;

function sectionOf({ name, outcome, tone, facts, link }: Told): string {
  const open = link === null ? '' : ` <${escaped(encodeURI(link)).replaceAll('|', '%7C')}|Open>`;
  let text = `${SIGNS[tone]} ${code(name)} *${outcome}*${open}`;
  for (const { label, value } of facts) {
    const line = `\n${code(label)} ${code(value)}`;
    if (text.length + line.length > MOST_TEXT) break;
    text += line;
  }
  return text;
}

function code(text: string): string {
  return `\`${escaped(text.replaceAll('`', "'"))}\``;
}

/** https://docs.slack.dev/messaging/formatting-message-text#escaping */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
