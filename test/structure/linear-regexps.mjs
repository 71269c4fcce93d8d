import { readFileSync } from 'node:fs';
import { checkSync } from 'recheck';

/**
 * Expressions as they stand in the code that are not proved here, with why they are linear all the same: because the proof does not
 * cover what they look at around themselves or back, or takes long.
 */
const JUDGED = JSON.parse(readFileSync(new URL('judged-regexps.json', import.meta.url), 'utf8'));
const LIST = 'test/structure/judged-regexps.json';

/**
 * What is wrong with a regular expression that a caller's text is held against; null: it is linear, by proof or by the list.
 * @param {string} source
 * @param {string} flags
 */
export function problemOf(source, flags, judged = JUDGED) {
  if (Object.hasOwn(judged, `/${source}/${flags}`)) return null;
  const { status, complexity, error } = proofOf(source, flags);
  if (status === 'safe') return null;
  if (status === 'vulnerable') return `A text can be made that takes it ${complexity.summary} time to match.`;
  return `Nothing proves that it is linear (${error.message ?? error.kind}). Write it in another way, or judge it in ${LIST}.`;
}

/**
 * By proof, not by trials, whose findings differ from run to run; with so much time that the machine makes no difference.
 * @param {string} source
 * @param {string} flags
 */
export function proofOf(source, flags) {
  return checkSync(source, flags, { checker: 'automaton', timeout: 120_000 });
}

/** A rule of oxlint: no regular expression takes longer than in proportion to the text, which a caller may choose. */
const linear = {
  create(context) {
    const check = (node, source, flags) => {
      const message = problemOf(source, flags);
      if (message !== null) context.report({ node, message });
    };
    return {
      Literal(node) {
        if (node.regex !== undefined && node.regex !== null)
          check(node, node.regex.pattern, node.regex.flags);
      },
      // Of a schema; validators read it with this flag.
      Property({ key, value }) {
        const name = key.type === 'Identifier' ? key.name : key.value;
        if (name === 'pattern' && value.type === 'Literal' && typeof value.value === 'string')
          check(value, value.value, 'u');
      },
    };
  },
};

// oxlint-disable-next-line import/no-default-export -- Oxlint loads it by that.
export default { meta: { name: 'regexps' }, rules: { linear } };
