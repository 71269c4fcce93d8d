import { Command } from 'commander';
import { idOf, DEFAULT_MACHINES } from './machines.js';
import { DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, DefenderSimulator } from './simulator.js';

const options = new Command()
  .name('simulator:defender')
  .description(
    'Microsoft Defender for Endpoint, played on 127.0.0.1. For trying and testing; it protects nothing.',
  )
  .option('--port <n>', 'port on 127.0.0.1; 0 takes a free one', '8901')
  .option('--speed <n>', 'how many times as fast as the wall its durations pass', '1')
  .option('--machines <n>', 'machines host-0001 … to have besides the named ones', '0')
  .option('--seed <n>', 'makes shares of faults repeatable', '1')
  .option('--ledger <file>', 'where facts are appended to, one JSON line each')
  .parse()
  .opts<{ port: string; speed: string; machines: string; seed: string; ledger?: string }>();

const EXAMPLE = 'plugins/defender/examples/simulator.config.yaml';

const many = Array.from({ length: Number(options.machines) }, (_, index) => {
  const name = `host-${String(index + 1).padStart(4, '0')}.contoso.com`;
  return {
    id: idOf(name),
    computerDnsName: name,
    ip: `10.1.${Math.floor(index / 250)}.${(index % 250) + 1}`,
  };
});
const simulator = await DefenderSimulator.start({
  port: Number(options.port),
  speed: Number(options.speed),
  seed: Number(options.seed),
  machines: [...DEFAULT_MACHINES, ...many],
  ...(options.ledger === undefined ? {} : { ledgerFile: options.ledger }),
});

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => void simulator.stop().then(() => process.exit(0)));

if (process.send === undefined) {
  const { baseUrl } = simulator;
  const named = DEFAULT_MACHINES.map(
    ({ computerDnsName, id = idOf(computerDnsName) }) => `  ${id}  ${computerDnsName}`,
  );
  console.log(`Defender for Endpoint is simulated at ${baseUrl}

tenant id      ${DEFAULT_TENANT}
client id      ${DEFAULT_APP}
client secret  ${DEFAULT_SECRET}

machines
${named.join('\n')}

To have \`npm start\` use it, in another terminal:

  DEFENDER_CLIENT_SECRET=${DEFAULT_SECRET} RIPOSTE_CONFIG=${EXAMPLE} npm start

That file, for this address:

providers:
  - id: defender
    plugin: defender
    settings:
      tenantId: ${DEFAULT_TENANT}
      clientId: ${DEFAULT_APP}
      baseUrl: ${baseUrl}
      loginUrl: ${baseUrl}
    tenants: ['*']
    secrets: { clientSecret: 'env:DEFENDER_CLIENT_SECRET' }
    network: { allow: ['127.0.0.0/8'] }

What happened: ${baseUrl}/_control/ledger. Ctrl-C stops it.`);
} else {
  process.send({ type: 'ready', port: simulator.port });
  process.on('disconnect', () => process.exit(0));
}
