import { isDeepStrictEqual } from 'node:util';
import { entityModel, type EntityModel } from '#odata';
import ipaddr from 'ipaddr.js';
import type { Behaviour } from './behaviour.js';
import { shownTime, type VendorClock } from './clock.js';
import { badRequest, notFound, Refusal } from './refusal.js';
import { markerOf, type Referee } from './referee.js';

interface Indicator {
  readonly id: string;
  readonly indicatorValue: string;
  readonly indicatorType: string;
  readonly action: string;
  readonly application: string | null;
  readonly title: string;
  readonly description: string;
  readonly severity: string;
  readonly expiresAt: number | null;
  readonly generateAlert: boolean;
  readonly recommendedActions: string | null;
  readonly educateUrl: string | null;
  readonly rbacGroupNames: readonly string[];
  readonly createdBy: string;
  readonly createdByDisplayName: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly lastUpdatedBy: string;
  readonly visibleAt: number;
}

/** Who asks: an application that may touch its own indicators only, or everybody's. */
export interface Asker {
  readonly appId: string;
  readonly everybodys: boolean;
}

const FILE = ['Allowed', 'Audit', 'Warn', 'Block', 'BlockAndRemediate'];
const NETWORK = ['Allowed', 'Audit', 'Warn', 'Block'];
/** Still taken, as ever. */
const LEGACY = ['Alert', 'AlertAndBlock'];
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  FileSha1: [...FILE, ...LEGACY],
  FileSha256: [...FILE, ...LEGACY],
  FileMd5: [...FILE, ...LEGACY],
  CertificateThumbprint: ['Allowed', 'BlockAndRemediate'],
  IpAddress: [...NETWORK, ...LEGACY],
  DomainName: [...NETWORK, ...LEGACY],
  Url: [...NETWORK, ...LEGACY],
};
const SEVERITIES = ['Informational', 'Low', 'Medium', 'High'];
const HEX = { FileSha1: 40, FileSha256: 64, FileMd5: 32, CertificateThumbprint: 40 } as const;
const DOMAIN = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/i;
const EIGHT_SEGMENTS = /^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$/i;

const text = { type: 'string' } as const;
const time = { type: 'dateTime' } as const;
export const INDICATOR_MODEL: EntityModel = entityModel({
  application: text,
  createdByDisplayName: text,
  expirationTime: time,
  generateAlert: { type: 'boolean' },
  title: text,
  indicatorValue: text,
  indicatorType: text,
  creationTimeDateTimeUtc: time,
  createdBy: text,
  action: text,
  severity: text,
});

/** Rows that one import or batch delete can have. */
const MOST_ROWS = 500;

/** The indicators of one tenant, by type and value. */
export class Indicators {
  readonly #indicators = new Map<string, Indicator>();
  #lastId = 0;

  constructor(
    readonly clock: VendorClock,
    readonly referee: Referee,
    readonly behaviour: () => Behaviour,
    readonly tenantId: string,
  ) {}

  /**
   * Makes one, or writes over the one of this value and type, whoever made that.
   * @throws Refusal 400; 403 over another's without the right to everybody's
   */
  set(given: Readonly<Record<string, unknown>>, asker: Asker): Indicator {
    this.#expire();
    const now = this.clock.now();
    const parsed = parse(given, now);
    const key = `${parsed.indicatorType} ${parsed.indicatorValue}`;
    const before = this.#indicators.get(key);
    const { mostIndicators, visibleAfterMs } = this.behaviour();
    if (before !== undefined) refuseUnlessOwn(before, asker);
    else if (this.#indicators.size >= mostIndicators)
      throw badRequest('BadRequest', `The limit of ${mostIndicators} indicators per tenant is reached`);
    this.#lastId += before === undefined ? 1 : 0;
    const indicator: Indicator = {
      ...parsed,
      id: before?.id ?? String(this.#lastId),
      // Only what creates one says of which application it is.
      application: before === undefined ? parsed.application : before.application,
      createdBy: before?.createdBy ?? asker.appId,
      createdByDisplayName: before?.createdByDisplayName ?? asker.appId,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
      lastUpdatedBy: asker.appId,
      visibleAt: before?.visibleAt ?? now + this.clock.lasting(visibleAfterMs),
    };
    this.#indicators.set(key, indicator);
    this.#note('indicatorSet', indicator, before === undefined || !isAsBefore(parsed, before));
    return indicator;
  }

  /**
   * Sets many, each for itself.
   * @throws Refusal 400 for more than 500
   */
  import(rows: readonly Readonly<Record<string, unknown>>[], asker: Asker) {
    if (rows.length > MOST_ROWS)
      throw badRequest('MaximumBatchSizeExceeded', `A batch can have ${MOST_ROWS} indicators at most`);
    return rows.map((row) => {
      const value = String(row['indicatorValue']);
      try {
        if (this.behaviour().badRows.includes(value))
          throw badRequest('InvalidInput', 'The indicator was not accepted');
        const { id } = this.set(row, asker);
        return { id, indicator: value, isFailed: false, failureReason: null };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { id: null, indicator: value, isFailed: true, failureReason: error.message };
      }
    });
  }

  /** @throws Refusal 404, also for another's and for one that cannot be seen yet */
  get(id: string, asker: Asker): Indicator {
    const found = this.list(asker).find((indicator) => indicator.id === id);
    if (found === undefined) throw notFound(`Indicator ${id} was not found`);
    return found;
  }

  /** Those that the asker may see. */
  list(asker: Asker): readonly Indicator[] {
    this.#expire();
    const now = this.clock.now();
    return [...this.#indicators.values()].filter(
      ({ visibleAt, createdBy }) => visibleAt <= now && (asker.everybodys || createdBy === asker.appId),
    );
  }

  /**
   * Removes all of them, or none.
   * @throws Refusal 404 when one of them is not there; 400 for more than 500
   */
  remove(ids: readonly string[], asker: Asker): void {
    if (ids.length > MOST_ROWS)
      throw badRequest('MaximumBatchSizeExceeded', `A batch can have ${MOST_ROWS} indicators at most`);
    const found = ids.map((id) => this.get(id, asker));
    for (const indicator of found) {
      if (this.#indicators.delete(`${indicator.indicatorType} ${indicator.indicatorValue}`))
        this.#note('indicatorRemoved', indicator, true);
    }
  }

  /** By somebody else: no fact for the referee. */
  putInPlace(given: Readonly<Record<string, unknown>>): void {
    const now = this.clock.now();
    const parsed = parse({ title: 'by hand', description: 'by hand', ...given }, now);
    this.#lastId += 1;
    this.#indicators.set(`${parsed.indicatorType} ${parsed.indicatorValue}`, {
      ...parsed,
      id: String(this.#lastId),
      createdBy: 'analyst@contoso.com',
      createdByDisplayName: 'An analyst',
      createdAt: now,
      updatedAt: now,
      lastUpdatedBy: 'analyst@contoso.com',
      visibleAt: now,
    });
  }

  shown(indicator: Indicator) {
    const { createdAt, updatedAt, expiresAt, visibleAt: _, ...rest } = indicator;
    return {
      ...rest,
      source: indicator.createdBy,
      sourceType: 'AadApp',
      createdBySource: 'PublicApi',
      creationTimeDateTimeUtc: shownTime(createdAt),
      lastUpdateTime: shownTime(updatedAt),
      expirationTime: expiresAt === null ? null : shownTime(expiresAt),
      rbacGroupIds: [],
      category: 1,
      mitreTechniques: [],
      historicalDetection: false,
    };
  }

  #expire(): void {
    const now = this.clock.now();
    for (const [key, { expiresAt }] of this.#indicators)
      if (expiresAt !== null && expiresAt <= now) this.#indicators.delete(key);
  }

  #note(event: 'indicatorSet' | 'indicatorRemoved', indicator: Indicator, changed: boolean): void {
    const { indicatorType, indicatorValue: value, action, description } = indicator;
    const marker = markerOf(description);
    this.referee.note({ event, indicatorType, value, action, changed, marker, tenantId: this.tenantId });
  }
}

function refuseUnlessOwn({ createdBy }: Indicator, { appId, everybodys }: Asker): void {
  if (!everybodys && createdBy !== appId)
    throw new Refusal(403, 'Forbidden', 'The indicator was made by another application');
}

/** What of an indicator the caller decides. */
type Parsed = Omit<
  Indicator,
  'id' | 'createdBy' | 'createdByDisplayName' | 'createdAt' | 'updatedAt' | 'lastUpdatedBy' | 'visibleAt'
>;

/** An application that is given again counts for nothing. */
function isAsBefore(parsed: Parsed, before: Indicator): boolean {
  return Object.entries(parsed).every(
    ([name, value]) => name === 'application' || isDeepStrictEqual(value, before[name as keyof Indicator]),
  );
}

function parse(given: Readonly<Record<string, unknown>>, now: number): Parsed {
  const required = (name: string): string => {
    const value = given[name];
    if (typeof value !== 'string' || value === '')
      throw badRequest('MissingRequiredParameter', `${name} is required`);
    return value;
  };
  const optional = (name: string): string | null => {
    const value = given[name] ?? null;
    if (value !== null && typeof value !== 'string') throw badRequest('InvalidInput', `${name} is no text`);
    return value;
  };
  const indicatorValue = required('indicatorValue');
  const indicatorType = required('indicatorType');
  const action = required('action');
  const title = required('title');
  const description = required('description');
  const actions = ACTIONS[indicatorType];
  if (actions === undefined)
    throw badRequest('InvalidInput', `Indicator type ${indicatorType} is not supported`);
  if (!actions.includes(action))
    throw badRequest('InvalidInput', `Action ${action} is not supported for ${indicatorType}`);
  refuseValue(indicatorType, indicatorValue);
  const generateAlert = given['generateAlert'] === true;
  if (action === 'Audit' && !generateAlert)
    throw badRequest('InvalidInput', 'generateAlert must be true with the action Audit');
  const severity = optional('severity') ?? 'Informational';
  if (!SEVERITIES.includes(severity))
    throw badRequest('InvalidInput', `Severity ${severity} is not supported`);
  const expirationTime = optional('expirationTime');
  const expiresAt = expirationTime === null ? null : Date.parse(expirationTime);
  // Not a number compares as not in the future.
  if (expiresAt !== null && !(expiresAt > now))
    throw badRequest('InvalidInput', 'expirationTime must be in the future');
  const groups = given['rbacGroupNames'] ?? [];
  if (!Array.isArray(groups)) throw badRequest('InvalidInput', 'rbacGroupNames is no list');
  return {
    indicatorValue,
    indicatorType,
    action,
    title,
    description,
    severity,
    expiresAt,
    generateAlert,
    application: optional('application'),
    recommendedActions: optional('recommendedActions'),
    educateUrl: optional('educateUrl'),
    rbacGroupNames: groups.map(String),
  };
}

/** @throws Refusal 400 with the code for the type, for a value that is none of it */
function refuseValue(type: string, value: string): void {
  switch (type) {
    case 'FileSha1':
    case 'FileSha256':
    case 'FileMd5':
    case 'CertificateThumbprint':
      if (value.length !== HEX[type] || !/^[0-9a-f]+$/.test(value))
        throw badRequest('InvalidHashValue', `${value} is not ${HEX[type]} lower-case hex digits`);
      return;
    case 'IpAddress':
      if (!isExternalAddress(value))
        throw badRequest('InvalidIpAddress', `${value} is not one external IP address`);
      return;
    case 'DomainName':
      if (!DOMAIN.test(value)) throw badRequest('InvalidDomainName', `${value} is not a domain name`);
      return;
    default:
      if (!/^https?:\/\//i.test(value) || !URL.canParse(value))
        throw badRequest('InvalidUrl', `${value} is not a URL`);
  }
}

/** One address, in dotted decimals or with all eight segments. */
function isExternalAddress(value: string): boolean {
  const isWritten = value.includes(':')
    ? EIGHT_SEGMENTS.test(value)
    : ipaddr.IPv4.isValidFourPartDecimal(value);
  return isWritten && ipaddr.parse(value).range() === 'unicast';
}
