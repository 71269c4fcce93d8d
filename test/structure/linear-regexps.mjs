import { checkSync } from 'recheck';

/** A rule of oxlint: no regular expression takes longer than in proportion to the text, which a caller may choose. */
const linear = {
  create(context) {
    const check = (node, source, flags) => {
      // By proof, not by trials, whose findings differ from run to run. What it cannot judge is left to the reader.
      const { status, complexity } = checkSync(source, flags, { checker: 'automaton', timeout: 5000 });
      if (status !== 'vulnerable') return;
      context.report({
        node,
        message: `A text can be made that takes it ${complexity.summary} time to match.`,
      });
    };
    return {
      Literal(node) {
        if (node.regex !== undefined && node.regex !== null)
          check(node, node.regex.pattern, node.regex.flags);
      },
    };
  },
};

// oxlint-disable-next-line import/no-default-export -- Oxlint loads it by that.
export default { meta: { name: 'regexps' }, rules: { linear } };
