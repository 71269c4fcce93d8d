import { SimulatorServer, answerJson } from '../simulator-server.js';

/** https://docs.slack.dev/reference/block-kit/blocks: how many a message may have, and how long a text may be. */
const MOST_BLOCKS = 50;
const MOST_TEXT = 3000;
/** https://docs.slack.dev/apis/web-api/rate-limits: one message a second. */
const SECOND_MS = 1000;

interface Section {
  readonly type: string;
  readonly text?: { readonly type: string; readonly verbatim?: boolean; readonly text: string };
}

/** A message as Slack took it. */
export interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly Section[];
}

/** A Slack channel with an incoming webhook: takes what Slack documents that it takes, one message a second. */
export class SlackChannel {
  readonly messages: SlackMessage[] = [];
  /** Messages that came before their second. */
  tooSoon = 0;
  /** Statuses that it answers the next messages with, before it takes any. */
  refusals: number[] = [];
  readonly signatures: unknown[] = [];
  #lastAt = Number.NEGATIVE_INFINITY;
  #path = '/services/T00000000/B00000000/first';
  #server: SimulatorServer | undefined;

  static async start(): Promise<SlackChannel> {
    const channel = new SlackChannel();
    channel.#server = await SimulatorServer.start(({ method, url, headers, body }, response) => {
      const answer = (status: number, text: string): void =>
        void response.writeHead(status, { 'content-type': 'text/html' }).end(text);
      if (method !== 'POST' || url.pathname !== channel.#path) return answer(404, 'no_service');
      const refusal = channel.refusals.shift();
      if (refusal !== undefined) return answer(refusal, 'rollup_error');
      if (performance.now() < channel.#lastAt + SECOND_MS) {
        channel.tooSoon += 1;
        return answerJson(response, 429, { ok: false, error: 'rate_limited' }, { 'retry-after': '1' });
      }
      if (headers['content-type'] !== 'application/json') return answer(400, 'invalid_payload');
      const message = JSON.parse(body) as SlackMessage;
      if (!isWellFormed(message)) return answer(400, 'invalid_blocks');
      channel.#lastAt = performance.now();
      channel.signatures.push(headers['x-riposte-signature']);
      channel.messages.push(message);
      answer(200, 'ok');
    });
    return channel;
  }

  get url(): string {
    return `${this.#server?.baseUrl ?? ''}${this.#path}`;
  }

  /** Its webhook has another address from now on, and none at the old one. */
  renewAddress(): void {
    this.#path = `/services/T00000000/B00000000/${String(Math.random()).slice(2)}`;
  }

  /** What people see, block by block. */
  get seen(): readonly SeenBlock[] {
    return this.messages.flatMap(({ blocks }) => blocks.map(({ text }) => seenOf(text?.text ?? '')));
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}

/** A block as people see it. */
export interface SeenBlock {
  /** Its text; what stands as code in `code`, in order. */
  readonly text: string;
  readonly code: readonly string[];
  /** Addresses of links, and what begins with `@`, `#` or `!`: mentions of people, channels, all. */
  readonly links: readonly string[];
  readonly bold: readonly string[];
}

function isWellFormed({ text, blocks }: SlackMessage): boolean {
  return (
    typeof text === 'string' &&
    text !== '' &&
    blocks.length > 0 &&
    blocks.length <= MOST_BLOCKS &&
    blocks.every(
      (block) =>
        block.type === 'section' &&
        block.text !== undefined &&
        ['mrkdwn', 'plain_text'].includes(block.text.type) &&
        block.text.text.length > 0 &&
        block.text.text.length <= MOST_TEXT,
    )
  );
}

/** As https://docs.slack.dev/messaging/formatting-message-text says: angle brackets first, code, then the rest. */
function seenOf(mrkdwn: string): SeenBlock {
  const links: string[] = [];
  const code: string[] = [];
  const bold: string[] = [];
  const shown = mrkdwn
    .replaceAll(/<([^<>|]+)(?:\|([^<>]*))?>/g, (_all, target: string, words?: string) => {
      links.push(unescaped(target));
      return words ?? target;
    })
    .replaceAll(/`([^`\n]+)`/g, (_all, inner: string) => {
      code.push(unescaped(inner));
      return '';
    })
    .replaceAll(/\*([^*\n]+)\*/g, (_all, inner: string) => {
      bold.push(unescaped(inner));
      return inner;
    });
  return { text: unescaped(shown).trim(), code, links, bold };
}

function unescaped(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}
