const path = require('node:path');

module.exports = {
  rules: [
    {
      id: '@secretlint/secretlint-rule-preset-recommend',
      rules: [
        {
          id: '@secretlint/secretlint-rule-database-connection-string',
          options: { allows: ['/hunter(?:%40)?2@/'] },
        },
      ],
    },
    { id: path.join(__dirname, 'apps/launcher/own-secrets.mjs') },
  ],
};
