/**
 * Which folder may import which. Every rule has an import that it has to refuse in test/structure/layers.spec.ts.
 * A finding is a question about the design: move the code, or change the rule here and say why.
 */

/** Per lib of ours, the libs it may import. */
const LIBS = {
  domain: [],
  'provider-sdk': ['domain'],
  telemetry: ['domain'],
  rounds: ['telemetry'],
  audit: ['domain', 'rounds', 'telemetry'],
  auth: ['domain'],
  grouping: [],
  odata: [],
  secrets: ['domain'],
  persistence: ['audit', 'domain', 'grouping', 'odata'],
  queue: ['domain', 'grouping', 'telemetry'],
  config: ['domain', 'provider-sdk'],
  engine: ['domain', 'provider-sdk', 'rounds', 'telemetry'],
  'plugin-host': ['config', 'domain', 'engine', 'provider-sdk', 'telemetry'],
  'embedded-servers': [],
};

/** The libs an app may import. */
const APP_LIBS = [
  'audit',
  'domain',
  'engine',
  'persistence',
  'queue',
  'auth',
  'odata',
  'rounds',
  'telemetry',
  'config',
  'plugin-host',
  'secrets',
];

const OURS = '^(apps|libs|plugins|test)/';
const ENTRY_POINTS = [
  '^[^/]+$',
  '^apps/(api|worker|launcher)/main\\.ts$',
  '^apps/console/(vite\\.config\\.ts|src/main\\.tsx|.*\\.spec\\.ts)$',
  '^apps/cli/[^/]+\\.ts$',
  '^apps/launcher/[^/]+\\.mjs$',
  '^(libs/[^/]+|libs/provider-sdk/conformance|plugins)/index\\.ts$',
  '^libs/plugin-host/runner\\.ts$',
  '^test/.*[.-]spec\\.ts$',
  '^test/(bench|faults|fuzz|screenshots)/[^/]+\\.ts$',
  '^test/simulators/[^/]+/main\\.ts$',
];

const libs = (names) => names.map((name) => `^libs/${name}/`);
const npm = (names) => `(^|/)node_modules/(${names.join('|')})/`;

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(LIBS).map(([lib, allowed]) => ({
      name: `${lib}-imports-only-its-layer`,
      comment: `libs/${lib} may import ${allowed.join(', ') || 'nothing of ours'}.`,
      severity: 'error',
      from: { path: `^libs/${lib}/` },
      to: { path: OURS, pathNot: libs([lib, ...allowed]) },
    })),
    {
      name: 'every-lib-has-a-layer',
      comment: 'A new lib gets a line in LIBS above.',
      severity: 'error',
      from: {},
      to: { path: '^libs/', pathNot: libs(Object.keys(LIBS)) },
    },
    {
      name: 'apps-import-only-their-layer',
      comment: `Apps may import ${APP_LIBS.join(', ')} and plugins/index.ts; the launcher embedded-servers, too.`,
      severity: 'error',
      from: { path: '^apps/', pathNot: '^apps/launcher/' },
      to: { path: OURS, pathNot: ['^apps/', ...libs(APP_LIBS), '^plugins/index\\.ts$'] },
    },
    {
      name: 'launcher-imports-only-its-layer',
      comment: 'The launcher starts servers and processes; it has no part in what an action goes through.',
      severity: 'error',
      from: { path: '^apps/launcher/' },
      to: {
        path: OURS,
        pathNot: [
          '^apps/',
          ...libs(['embedded-servers', 'auth', 'config', 'domain', 'secrets', 'telemetry']),
        ],
      },
    },
    {
      name: 'console-imports-only-itself',
      comment: 'It runs in browsers and talks to the API only. Its build runs in Node.',
      severity: 'error',
      from: { path: '^apps/console/src/', pathNot: '[.-]spec\\.ts$' },
      to: { path: OURS, pathNot: '^apps/console/src/' },
    },
    {
      name: 'console-needs-no-node',
      severity: 'error',
      from: { path: '^apps/console/src/', pathNot: '[.-]spec\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'nobody-imports-apps',
      comment: 'An app is a process: others, and the tests, start it and talk to it.',
      severity: 'error',
      from: { pathNot: '^apps/' },
      to: { path: '^apps/' },
    },
    {
      name: 'no-app-imports-another',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'plugins-import-only-the-sdk',
      comment: 'What a plugin may see is libs/provider-sdk.',
      severity: 'error',
      from: { path: '^plugins/([^/]+)/' },
      to: { path: OURS, pathNot: ['^plugins/$1/', '^libs/provider-sdk/'] },
    },
    {
      name: 'plugin-list-imports-only-plugins',
      severity: 'error',
      from: { path: '^plugins/index\\.ts$' },
      to: { path: OURS, pathNot: ['^plugins/[^/]+/index\\.ts$', '^libs/provider-sdk/'] },
    },
    {
      name: 'libs-are-entered-through-index',
      severity: 'error',
      from: { path: '^libs/([^/]+)/' },
      to: { path: '^libs/', pathNot: ['^libs/$1/', '^libs/[^/]+/index\\.ts$'] },
    },
    {
      name: 'others-enter-libs-through-index',
      severity: 'error',
      from: { pathNot: '^libs/' },
      // The SDK has two: what runs in production, and the conformance kit, which does not.
      to: {
        path: '^libs/',
        pathNot: ['^libs/[^/]+/index\\.ts$', '^libs/provider-sdk/conformance/index\\.ts$'],
      },
    },
    {
      name: 'conformance-kit-stays-out-of-the-product',
      comment: 'Authors and tests run it; nothing that carries actions out needs it.',
      severity: 'error',
      from: { path: '^(apps|libs|plugins)/', pathNot: '^libs/provider-sdk/conformance/' },
      to: { path: '^libs/provider-sdk/conformance/' },
    },
    {
      name: 'plugins-are-entered-through-index',
      severity: 'error',
      from: { pathNot: '^plugins/' },
      to: { path: '^plugins/', pathNot: ['^plugins/index\\.ts$', '^plugins/[^/]+/index\\.ts$'] },
    },
    {
      name: 'libs-and-plugins-are-imported-by-name',
      comment: 'By `#domain`, not by a path: the name holds in the sources and in dist/ alike.',
      severity: 'error',
      from: { path: '^(apps|libs|plugins)/([^/]+)/' },
      to: { path: '^(libs|plugins)/', pathNot: '^$1/$2/', dependencyTypesNot: ['aliased-subpath-import'] },
    },
    {
      name: 'mongodb-only-in-persistence',
      severity: 'error',
      from: { path: OURS, pathNot: [...libs(['persistence', 'embedded-servers']), '^test/'] },
      to: { path: npm(['mongoose', 'mongodb', 'bson']) },
    },
    {
      name: 'redis-only-in-queue',
      severity: 'error',
      from: { path: OURS, pathNot: [...libs(['queue', 'embedded-servers']), '^test/'] },
      to: { path: npm(['bullmq', 'ioredis']) },
    },
    {
      name: 'opentelemetry-only-in-telemetry',
      severity: 'error',
      from: { path: OURS, pathNot: libs(['telemetry']) },
      to: { path: npm(['@opentelemetry']) },
    },
    {
      name: 'opentelemetry-sdk-only-where-traces-are-wanted',
      comment: 'Only its API, which does nothing by itself, is loaded in any case.',
      severity: 'error',
      from: { path: OURS, pathNot: '^libs/telemetry/tracing-sdk\\.ts$' },
      to: { path: npm(['@opentelemetry/(?!api/)[^/]+']) },
    },
    {
      name: 'opentelemetry-sdk-is-loaded-when-needed',
      comment: 'By `await import(…)`.',
      severity: 'error',
      from: { path: OURS },
      to: { path: '^libs/telemetry/tracing-sdk\\.ts$', dynamic: false },
    },
    {
      name: 'prometheus-client-only-where-metrics-are-wanted',
      comment: 'Command line tools, and workers that nobody scrapes, do without.',
      severity: 'error',
      from: { path: OURS, pathNot: '^libs/telemetry/metrics/prometheus\\.ts$' },
      to: { path: npm(['prom-client']) },
    },
    {
      name: 'prometheus-client-is-loaded-when-needed',
      comment: 'By `await import(…)`.',
      severity: 'error',
      from: { path: OURS },
      to: {
        path: '^libs/telemetry/metrics/prometheus\\.ts$',
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'nest-only-in-apps',
      severity: 'error',
      from: { path: OURS, pathNot: '^apps/' },
      to: { path: npm(['@nestjs']) },
    },
    {
      name: 'bull-board-only-in-the-api',
      severity: 'error',
      from: { path: OURS, pathNot: '^apps/api/' },
      to: { path: npm(['@bull-board']) },
    },
    {
      name: 'cli-loads-what-takes-long-when-it-needs-it',
      comment:
        'By `await import(…)`: commands on the HTTP API, completion above all, do without. What is in doctor/ is loaded so itself.',
      severity: 'error',
      from: { path: '^apps/cli/', pathNot: ['^apps/cli/token\\.ts$', '^apps/cli/doctor/'] },
      to: {
        path: [...libs(['auth', 'config', 'persistence', 'plugin-host']), '^apps/cli/doctor/'],
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: { path: '^(apps|libs|plugins)/' },
      to: { path: '^test/' },
    },
    {
      name: 'product-does-not-need-dev-dependencies',
      comment: 'The production image has none. Of the console it has what Vite made of it.',
      severity: 'error',
      from: { path: '^(apps|libs|plugins)/', pathNot: '^apps/console/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'packages-are-declared',
      comment: 'A package that only another one brings along can vanish with it.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'imports-resolve',
      comment: 'The launcher builds dist/ before it imports from there.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '(^|/)dist/' },
    },
    {
      name: 'no-cycles',
      comment: 'Of types neither: what needs each other to be understood is one thing, or three.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: ENTRY_POINTS },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: ['(^|/)node_modules/'] },
    // The launcher loads what was compiled; the sources of that are looked at here. The acceptance program for
    // JavaScript is a package of its own, installed elsewhere; plugins of others are packages of their own, too.
    exclude: { path: ['^dist/', '^test/sdk/javascript/', '^test/fixtures/'] },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    // As tsconfig.json's customConditions: `#domain` is libs/domain/index.ts.
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['riposte-source', 'import', 'node', 'types', 'default'],
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.json', '.d.ts', '.css'],
    },
  },
};
