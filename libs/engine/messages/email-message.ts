import type { Json } from '#domain';
import { plainLine } from '../plain-text.js';
import { summaryOf, type Told } from './message.js';

const MOST_SUBJECT = 150;

/**
 * A mail as services take it that send mail (`from`, `to`, `subject`, `text`, `html`: Resend, and what workflow tools map
 * with a line each). In HTML what others wrote is escaped; in the subject it is one line.
 */
export function emailMessage(
  told: readonly Told[],
  { from, to }: { readonly from: string | null; readonly to: readonly string[] },
): Json {
  return {
    ...(from === null ? {} : { from }),
    to,
    subject: plainLine(`Riposte: ${summaryOf(told)}`, MOST_SUBJECT),
    text: told.map(textOf).join('\n\n'),
    html: told.map(htmlOf).join('<hr>'),
  };
}

function textOf({ name, outcome, facts, link }: Told): string {
  const lines = [`${name} ${outcome}`, ...facts.map(({ label, value }) => `${label}: ${value}`)];
  return [...lines, ...(link === null ? [] : [link])].join('\n');
}

function htmlOf({ name, outcome, facts, link }: Told): string {
  const rows = facts.map(
    ({ label, value }) => `<tr><th align="left">${escaped(label)}</th><td>${escaped(value)}</td></tr>`,
  );
  const open = link === null ? '' : `<p><a href="${escaped(link)}">Open</a></p>`;
  return `<p><b>${escaped(name)}</b> ${escaped(outcome)}</p><table>${rows.join('')}</table>${open}`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (found) => ENTITIES[found] ?? found);
}
