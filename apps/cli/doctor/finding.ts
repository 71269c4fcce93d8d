/** What is looked at, by the section of docs/doctor.md that tells of it. */
const CODES = {
  doctor: ['doctor.time', 'doctor.failed'],
  machine: ['node.version', 'packages'],
  configuration: ['config.file', 'tls.certificate'],
  'stored-secrets': ['secrets.keys', 'secrets.match'],
  files: ['files.mode'],
  mongodb: [
    'mongodb.reachable',
    'mongodb.version',
    'mongodb.topology',
    'mongodb.members',
    'mongodb.journal',
    'mongodb.write',
    'mongodb.indexes',
    'mongodb.disk',
    'mongodb.oplog',
    'mongodb.clock',
  ],
  redis: [
    'redis.reachable',
    'redis.version',
    'redis.role',
    'redis.persistence',
    'redis.eviction',
    'redis.memory',
    'redis.write',
    'redis.latency',
    'redis.clock',
  ],
  issuers: ['issuers.builtin', 'issuers.keys', 'issuers.sign-in'],
  providers: ['providers.plugins', 'providers.instance', 'providers.permissions', 'providers.health'],
  workers: ['workers.alive', 'workers.silent', 'workers.version', 'workers.instance'],
} as const;

type Section = keyof typeof CODES;
const ALL: readonly string[] = Object.values(CODES).flat();

/** Names what a finding is about; listed in docs/doctor.md. */
export type FindingCode = (typeof CODES)[Section][number];

/** `unknown`: could not be looked at, which is nobody's fault. */
type Level = 'ok' | 'unknown' | 'warning' | 'problem';

/** What was found of one thing. */
export interface Finding {
  readonly level: Level;
  readonly code: FindingCode;
  /** The instance, issuer, file or worker; null: there is one only. */
  readonly about: string | null;
  readonly message: string;
  /** What to do; of a warning and of a problem, always. */
  readonly fix: string | null;
  /** Where more is told. */
  readonly docs: string;
}

/** Takes what a check finds, as it finds it: what was told before it hangs is kept. */
export class Findings {
  readonly #found: Finding[] = [];

  ok(code: FindingCode, message: string, about: string | null = null): void {
    this.#add({ level: 'ok', code, about, message, fix: null });
  }

  unknown(code: FindingCode, message: string, about: string | null = null): void {
    this.#add({ level: 'unknown', code, about, message, fix: null });
  }

  /** Works, and may not for long, or not as it should. */
  warning(code: FindingCode, message: string, fix: string, about: string | null = null): void {
    this.#add({ level: 'warning', code, about, message, fix });
  }

  /** Does not work, or will lose what it must not. */
  problem(code: FindingCode, message: string, fix: string, about: string | null = null): void {
    this.#add({ level: 'problem', code, about, message, fix });
  }

  /** Those told until now, in the order that they are listed in above. */
  get all(): readonly Finding[] {
    return this.#found.toSorted((a, b) => ALL.indexOf(a.code) - ALL.indexOf(b.code));
  }

  #add(finding: Omit<Finding, 'docs'>): void {
    this.#found.push({ ...finding, docs: `docs/doctor.md#${sectionOf(finding.code)}` });
  }
}

function sectionOf(code: FindingCode): Section {
  const sections = Object.keys(CODES) as Section[];
  return sections.find((section) => (CODES[section] as readonly FindingCode[]).includes(code)) ?? 'doctor';
}

const LONGEST_REASON = 400;

/** Why something failed, in one line: of an error that says nothing itself, its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, LONGEST_REASON);
  const { cause } = error;
  const code = (error as NodeJS.ErrnoException).code;
  const own = error.message || code || error.name;
  const text =
    cause instanceof Error && /^(fetch failed|the issuer .* cannot be used)$/.test(own)
      ? `${own}: ${reasonOf(cause)}`
      : own;
  return text.replaceAll(/\s+/g, ' ').slice(0, LONGEST_REASON);
}
