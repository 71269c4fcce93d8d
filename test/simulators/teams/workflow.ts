import { SimulatorServer, answerJson } from '../simulator-server.js';

/** https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions */
const MOST_BYTES = 28 * 1024;

interface TextRun {
  readonly type: string;
  readonly text: string;
  readonly color?: string;
  readonly selectAction?: { readonly type: string; readonly url: string };
}

interface Block {
  readonly type: string;
  readonly inlines: readonly TextRun[];
}

interface Card {
  readonly type: string;
  readonly version: string;
  readonly body: readonly Block[];
}

const RUN_KEYS = new Set(['type', 'text', 'color', 'weight', 'isSubtle', 'selectAction']);

/** A workflow of Teams that posts a card as it is asked to by HTTP: takes what Microsoft documents. */
export class TeamsWorkflow {
  readonly cards: Card[] = [];
  /** Bytes of the largest message taken. */
  largest = 0;
  readonly #server: SimulatorServer;

  private constructor(server: SimulatorServer) {
    this.#server = server;
  }

  static async start(): Promise<TeamsWorkflow> {
    // What is served needs what is started.
    const taken: { workflow?: TeamsWorkflow } = {};
    const server = await SimulatorServer.start(({ method, url, body }, response) => {
      const refuse = (status: number, code: string): void =>
        answerJson(response, status, { error: { code } });
      if (method !== 'POST' || url.searchParams.get('sig') !== 'secret')
        return refuse(401, 'DirectApiAuthorizationRequired');
      if (Buffer.byteLength(body) > MOST_BYTES) return refuse(413, 'RequestEntityTooLarge');
      const message = JSON.parse(body) as {
        type: string;
        attachments: { contentType: string; content: Card }[];
      };
      const [attachment] = message.attachments;
      if (
        message.type !== 'message' ||
        attachment?.contentType !== 'application/vnd.microsoft.card.adaptive' ||
        !isCard(attachment.content)
      )
        return refuse(400, 'TriggerInputSchemaMismatch');
      taken.workflow?.cards.push(attachment.content);
      if (taken.workflow !== undefined)
        taken.workflow.largest = Math.max(taken.workflow.largest, Buffer.byteLength(body));
      response.writeHead(202).end();
    });
    taken.workflow = new TeamsWorkflow(server);
    return taken.workflow;
  }

  /** It has its secret in the query, as those of Teams have. */
  get url(): string {
    return `${this.#server.baseUrl}/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig=secret`;
  }

  /** The lines that people see. Runs are shown as they are: they know no Markdown. */
  get lines(): readonly string[] {
    return this.cards.flatMap(({ body }) =>
      body.map(({ inlines }) => inlines.map(({ text }) => text).join('')),
    );
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

function isCard({ type, version, body }: Card): boolean {
  return (
    type === 'AdaptiveCard' &&
    /^1\.[0-5]$/.test(version) &&
    body.length > 0 &&
    body.every(
      (block) =>
        block.type === 'RichTextBlock' &&
        block.inlines.length > 0 &&
        block.inlines.every(
          (run) =>
            run.type === 'TextRun' &&
            typeof run.text === 'string' &&
            Object.keys(run).every((key) => RUN_KEYS.has(key)) &&
            (run.selectAction === undefined || run.selectAction.type === 'Action.OpenUrl'),
        ),
    )
  );
}
