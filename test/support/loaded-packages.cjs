'use strict';
// For `node --require`: when the process ends, writes which packages of OpenTelemetry it has loaded into the folder that
// RIPOSTE_TEST_LOADED names, one name a line, in a file of its own.
const { writeFileSync } = require('node:fs');
const path = require('node:path');

process.on('exit', () => {
  const names = Object.keys(require.cache).flatMap(
    (file) => /node_modules\/(@opentelemetry\/[^/]+)\//.exec(file)?.[1] ?? [],
  );
  const file = path.join(process.env.RIPOSTE_TEST_LOADED ?? '.', `${process.pid}.txt`);
  writeFileSync(file, [...new Set(names)].join('\n'));
});
