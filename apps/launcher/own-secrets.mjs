/** A rule of secretlint: secrets that Riposte itself makes. Their prefixes are there to be found by. */
const OWN = /(?<![A-Za-z0-9_-])rp[ks]_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/g;

export const creator = {
  messages: {
    found: { en: () => 'found a client secret (rps_) or a key of stored secrets (rpk_) of Riposte' },
  },
  meta: { id: 'own-secrets', type: 'scanner', recommended: false, supportedContentTypes: ['text'] },
  create(context) {
    const t = context.createTranslator(creator.messages);
    return {
      file({ content }) {
        for (const {
          index,
          0: { length },
        } of content.matchAll(OWN))
          context.report({ message: t('found'), range: [index, index + length] });
      },
    };
  },
};
