import type { FaultKind } from './evidence.js';
import type { Fault } from './fault.js';
import { DISK_FAULTS } from './faults-of-disks.js';
import { MONGODB_FAULTS } from './faults-of-mongodb.js';
import { PROCESS_FAULTS } from './faults-of-processes.js';
import { REDIS_FAULTS } from './faults-of-redis.js';
import { NETWORK_FAULTS } from './faults-of-the-network.js';
import { VENDOR_FAULTS } from './faults-of-vendors.js';
import { MOCK_MODES, MODES, type Mode } from './modes.js';

/** Every fault that can be asked for. F20 is all of them by their weights. */
export const CATALOGUE: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...REDIS_FAULTS,
  ...MONGODB_FAULTS,
  ...NETWORK_FAULTS,
  ...VENDOR_FAULTS,
  ...DISK_FAULTS,
].toSorted((one, other) => Number(one.id.slice(1)) - Number(other.id.slice(1)));

const COMBINED = 'F20';
/** What a plugin does that breaks: an action of the mock alone. */
const CRASHES = 'F16';
const crashable = (modes: readonly Mode[]): readonly Mode[] =>
  modes.filter((mode) => MOCK_MODES.some((mock) => mock === mode));
const KINDS: readonly FaultKind[] = ['redis', 'mongo', 'worker', 'api', 'network', 'vendor'];

/** What `--only` takes. */
export const CHOICES: readonly string[] = [
  ...KINDS,
  ...new Set([...CATALOGUE.map(({ id }) => id), COMBINED]),
];

/** The faults that are meant by the choices, of those these vendors can have; all that are drawn at random where there is none. */
export function chosen(only: readonly string[], modes: readonly Mode[] = MODES): readonly Fault[] {
  const isAny = only.length === 0 || only.includes(COMBINED);
  return CATALOGUE.filter(
    (fault) =>
      (fault.id !== CRASHES || crashable(modes).length > 0) &&
      ((isAny && fault.weight > 0) ||
        only.includes(fault.id) ||
        (fault.weight > 0 && only.includes(fault.kind))),
  );
}

/** What a fault keeps for itself while it lasts, one of these. */
export function placesOf(
  { kind, id }: Fault,
  {
    apis,
    workers,
    modes,
  }: {
    readonly apis: readonly string[];
    readonly workers: readonly string[];
    readonly modes: readonly Mode[];
  },
): readonly string[] {
  if (id === CRASHES) return crashable(modes).map((mode) => `crash in ${mode}`);
  switch (kind) {
    case 'worker':
      return workers;
    case 'api':
      return apis;
    case 'network':
      return [...workers, ...apis];
    case 'vendor':
      return modes.map((mode) => `vendor ${mode}`);
    case 'redis':
    case 'mongo':
    case 'client':
      return [kind];
    case 'all':
      return ['all'];
  }
}
