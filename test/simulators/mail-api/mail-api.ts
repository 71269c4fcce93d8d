import { SimulatorServer, answerJson } from '../simulator-server.js';

/** A mail that was sent. */
export interface SentMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const TOKEN = 'Bearer re_simulated';
const MOST_KEY = 256;

/**
 * A service that sends mail, as Resend documents (https://resend.com/docs/api-reference/emails/send-email): a key for the
 * caller, `Idempotency-Key`, and what a mail has to have.
 */
export class MailApi {
  readonly sent: SentMail[] = [];
  /** What came, signed, sent or not. */
  readonly came: { readonly body: string; readonly signature: string }[] = [];
  /** Answers that get lost after the mail was sent. */
  lostAnswers = 0;
  readonly #bodies = new Map<string, string>();
  #server: SimulatorServer | undefined;

  static async start(): Promise<MailApi> {
    const api = new MailApi();
    api.#server = await SimulatorServer.start(({ method, url, headers, body }, response) => {
      if (method !== 'POST' || url.pathname !== '/emails')
        return answerJson(response, 404, { name: 'not_found' });
      if (headers.authorization !== TOKEN) return answerJson(response, 401, { name: 'missing_api_key' });
      api.came.push({ body, signature: String(headers['x-riposte-signature']) });
      const key = String(headers['idempotency-key'] ?? '');
      if (key.length > MOST_KEY) return answerJson(response, 400, { name: 'invalid_idempotency_key' });
      const before = api.#bodies.get(key);
      if (before !== undefined)
        return before === body
          ? answerJson(response, 200, { id: key })
          : answerJson(response, 409, { name: 'invalid_idempotent_request' });
      const mail = JSON.parse(body) as Partial<SentMail>;
      const isWhole =
        typeof mail.from === 'string' &&
        Array.isArray(mail.to) &&
        mail.to.length > 0 &&
        mail.to.length <= 50 &&
        typeof mail.subject === 'string' &&
        !/[\r\n]/.test(mail.subject) &&
        typeof mail.text === 'string' &&
        typeof mail.html === 'string';
      if (!isWhole) return answerJson(response, 422, { name: 'validation_error' });
      if (key !== '') api.#bodies.set(key, body);
      api.sent.push(mail as SentMail);
      if (api.lostAnswers > 0) {
        api.lostAnswers -= 1;
        response.destroy();
        return;
      }
      answerJson(response, 200, { id: key });
    });
    return api;
  }

  get url(): string {
    return `${this.#server?.baseUrl ?? ''}/emails`;
  }

  get authorization(): string {
    return TOKEN;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}
