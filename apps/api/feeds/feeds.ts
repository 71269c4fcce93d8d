import { FailedAttempts, OAuthError } from '#auth';
import { OperationalError, type RateLimit } from '#domain';
import type { FeedConsumer, FeedStore } from '#persistence';
import { FEED_LISTS, feedListName, type FeedList } from '#plugins';
import type { ConfiguredFeed } from './configured-feeds.js';
import { readCredentials } from './feed-credentials.js';
import { FEED_FILES, feedContent, type FeedContent, type FeedFile } from './feed-content.js';
import { FeedRefusal } from './feed-refusal.js';
import type { FetchRecord } from './fetch-record.js';

/** A request for a file of a feed. */
export interface FeedRequest {
  readonly tenant: string;
  /** Without `.txt`. */
  readonly file: string;
  readonly authorization: string | undefined;
  readonly address: string;
  readonly userAgent: string | null;
  /** The method: what asks for the headers alone gets no list. */
  readonly isHead: boolean;
  /** Whether it has the list of this tag. */
  readonly has: (etag: string) => boolean;
}

export interface FeedAnswer {
  readonly content: FeedContent;
  /** When this process saw it so first. */
  readonly since: Date;
  readonly isKnown: boolean;
}

/** A list with who fetches it, as the native API shows it. */
export interface FeedView {
  readonly instance: string;
  readonly list: FeedList;
  readonly path: string;
  readonly entries: number;
  readonly etag: string;
  readonly consumers: readonly FeedConsumer[];
}

const LONGEST_USER_AGENT = 200;

/** The lists of the tenants, for firewalls that come for them. */
export class Feeds {
  readonly #feeds: readonly ConfiguredFeed[];
  readonly #store: Pick<FeedStore, 'published' | 'readers'>;
  readonly #record: FetchRecord;
  readonly #rateLimit: RateLimit | null;
  readonly #failures = new FailedAttempts();
  /** By instance and file, the tag that was sent last, and since when. */
  readonly #since = new Map<string, { readonly etag: string; readonly at: Date }>();

  constructor(parts: {
    readonly feeds: readonly ConfiguredFeed[];
    readonly store: Pick<FeedStore, 'published' | 'readers'>;
    readonly record: FetchRecord;
    /** Null: nobody is limited. */
    readonly rateLimit: RateLimit | null;
  }) {
    this.#feeds = parts.feeds;
    this.#store = parts.store;
    this.#record = parts.record;
    this.#rateLimit = parts.rateLimit;
  }

  /**
   * A list as it is now, all of it; its fetch is recorded.
   *
   * @throws FeedRefusal 401, 403, 404, 429
   * @throws OperationalError (503) without a database: an empty list would let everybody in again
   */
  async fetch(request: FeedRequest): Promise<FeedAnswer> {
    const { feed, name } = await this.#authenticated(request);
    const { address } = request;
    await this.#limit(feed, address);
    const file = Object.hasOwn(FEED_FILES, request.file) ? FEED_FILES[request.file] : undefined;
    if (file === undefined)
      throw new FeedRefusal(
        404,
        `There is no list "${request.file.slice(0, 64)}.txt". There are ${Object.keys(FEED_FILES)
          .map((known) => `${known}.txt`)
          .join(', ')}.`,
      );
    const list = feedListName(feed.tenantId, file.list);
    const userAgent = request.userAgent?.slice(0, LONGEST_USER_AGENT) ?? null;
    const fetched = { instance: feed.instance, list, name, address, userAgent };
    try {
      const { content, upTo } = await this.#read(feed, file);
      const isKnown = request.has(content.etag);
      if (!request.isHead)
        this.#record.note({ ...fetched, status: isKnown ? 304 : 200, got: { etag: content.etag, upTo } });
      return { content, since: this.#sinceOf(feed.instance, request.file, content.etag), isKnown };
    } catch (error) {
      if (!request.isHead)
        this.#record.note({ ...fetched, status: error instanceof OperationalError ? 503 : 500, got: null });
      throw error;
    }
  }

  /** The feeds of a tenant. */
  async ofTenant(tenantId: string): Promise<readonly FeedView[]> {
    const feeds = this.#feeds.filter((feed) => feed.tenantId === tenantId.toLowerCase());
    const views = await Promise.all(
      feeds.map(async (feed) => {
        const consumers = await this.#store.readers(feed.instance);
        return Promise.all(
          FEED_LISTS.map(async (list) => {
            const { content } = await this.#read(feed, FEED_FILES[list]);
            const name = feedListName(feed.tenantId, list);
            return {
              instance: feed.instance,
              list,
              path: `/feeds/${feed.tenantId}/${list}.txt`,
              entries: content.entries,
              etag: content.etag,
              consumers: consumers.filter((consumer) => consumer.list === name),
            };
          }),
        );
      }),
    );
    return views.flat();
  }

  async #read(
    feed: ConfiguredFeed,
    file: FeedFile,
  ): Promise<{ readonly content: FeedContent; readonly upTo: Date | null }> {
    const { values, upTo } = await this.#store.published(
      feed.instance,
      feedListName(feed.tenantId, file.list),
    );
    return { content: feedContent(values, file), upTo };
  }

  async #authenticated({
    tenant,
    authorization,
    address,
  }: FeedRequest): Promise<{ readonly feed: ConfiguredFeed; readonly name: string | null }> {
    const credentials = readCredentials(authorization);
    if (credentials === null) throw new FeedRefusal(401, NO_CREDENTIALS);
    const { name, password } = credentials;
    // All of them, so that the time it takes says nothing of a tenant.
    const right = this.#feeds.filter((feed) => feed.isPassword(password));
    const feed = right.find(({ tenantId }) => tenantId === tenant.toLowerCase());
    if (feed === undefined) throw await this.#wrong(name, address);
    if (!feed.mayFetch(address))
      throw new FeedRefusal(
        403,
        `${address} is not one of settings.consumers of the feed. An operator of Riposte can add it.`,
      );
    return { feed, name };
  }

  async #wrong(name: string | null, address: string): Promise<FeedRefusal> {
    const { status, retryAfterSeconds } = await this.#failures.failed(
      name ?? '',
      address,
      new OAuthError('invalid_client', WRONG),
    );
    if (retryAfterSeconds === null) return new FeedRefusal(status, WRONG);
    return new FeedRefusal(429, `Too many wrong passwords. ${WRONG}`, retryAfterSeconds);
  }

  async #limit(feed: ConfiguredFeed, address: string): Promise<void> {
    const answer = await this.#rateLimit?.take(`feed:${feed.instance}:${address}`);
    if (answer === undefined || answer.allowed) return;
    const seconds = Math.max(1, Math.ceil(answer.waitMs / 1000));
    throw new FeedRefusal(429, 'The list is fetched too often. Once a minute is enough.', seconds);
  }

  #sinceOf(instance: string, file: string, etag: string): Date {
    const key = `${instance} ${file}`;
    const known = this.#since.get(key);
    if (known?.etag === etag) return known.at;
    const at = new Date();
    this.#since.set(key, { etag, at });
    return at;
  }
}

const NO_CREDENTIALS =
  'The feed needs a password: HTTP Basic, with any name that tells this firewall from others, or "Authorization: Bearer …".';
/** One answer for all of it: whoever has no password learns nothing about tenants. */
const WRONG = 'The tenant has no feed with this password.';
