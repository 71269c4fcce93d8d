import {
  UnsealError,
  type Bell,
  type ErrorCode,
  type Json,
  type Question,
  type QuestionAnswer,
  type Questions,
  type SecretSeal,
} from '#domain';
import { ProviderError, parseParameters, type CallContext, type ProviderErrorClass } from '#provider-sdk';
import { withoutSecrets, type Logger } from '#telemetry';
import type { CheckHealth } from './check-health.js';
import type { InstanceCallResult, InstanceCalls } from './instance-calls.js';
import { checkedObservation, checkedPlan } from './plugin-answer.js';
import type { ProviderInstance, ProviderRegistry } from './registry.js';
import { cannotBeOpened, openParameters, secretsToHide } from './secret-parameters.js';

export interface AnswerQuestionsOptions {
  readonly questions: Questions;
  readonly bell: Bell;
  readonly registry: ProviderRegistry;
  /** Opens the values of secret parameters. */
  readonly seal: SecretSeal;
  readonly calls: InstanceCalls;
  readonly health: Pick<CheckHealth, 'check'>;
  readonly log: Logger;
  /** Milliseconds between looks for questions that nobody rang for. Default 1,000. */
  readonly periodMs?: number;
}

const DEFAULT_PERIOD_MS = 1000;
/** Milliseconds a plugin has for one question; whoever asked waits a little longer. */
const ANSWER_WITHIN_MS = 15_000;
/** Milliseconds after which nobody waits for the answer that could still be given. */
const WORTH_TAKING_MS = 18_000;
/** Questions that one worker answers at once at an instance, so that a vendor that hangs keeps none from the others. */
const MOST_AT_INSTANCE = 4;

/** Failures that are about what was asked for; the caller can change it. */
const ASKED_WRONG: ReadonlySet<ProviderErrorClass> = new Set([
  'invalidInput',
  'unsupported',
  'targetNotFound',
  'ambiguousTarget',
]);

/** The answering side of what only a plugin can tell, in a worker: it has the vendor's credentials. */
export class AnswerQuestions {
  readonly #options: AnswerQuestionsOptions;
  readonly #shutdown = new AbortController();
  readonly #underWay = new Map<Promise<void>, string>();
  #looking: Promise<void> = Promise.resolve();
  #isLooking = false;
  #lookWanted = false;
  #isAway = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AnswerQuestionsOptions) {
    this.#options = options;
    options.bell.listen('asked', () => this.#look());
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#options.periodMs ?? DEFAULT_PERIOD_MS);
  }

  /** Takes no more, and breaks off what is under way: whoever asked is told to ask again. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#shutdown.abort();
    await this.#looking;
    await Promise.all(this.#underWay.keys());
  }

  /** One look after the other; each takes what there is. Many that are wanted while one goes on become one. */
  #look(): void {
    this.#lookWanted = true;
    if (this.#isLooking) return;
    this.#looking = this.#lookWhileWanted();
  }

  async #lookWhileWanted(): Promise<void> {
    this.#isLooking = true;
    while (this.#lookWanted && !this.#shutdown.signal.aborted) {
      this.#lookWanted = false;
      try {
        await this.#takeAll();
        this.#isAway = false;
      } catch (error) {
        // Once for each time that the database is away.
        if (!this.#isAway) this.#options.log.warn({ error: String(error) }, 'questions cannot be read');
        this.#isAway = true;
      }
    }
    // In one step with the loop's last look at what is wanted.
    this.#isLooking = false;
  }

  async #takeAll(): Promise<void> {
    while (!this.#shutdown.signal.aborted) {
      const busy = [...this.#underWay.values()];
      const free = this.#options.registry.instances
        .map(({ id }) => id)
        .filter((id) => busy.filter((one) => one === id).length < MOST_AT_INSTANCE);
      const question = await this.#options.questions.take(free, WORTH_TAKING_MS);
      if (question === null) return;
      const answering = this.#answer(question)
        .catch((error: unknown) =>
          this.#options.log.warn(
            { question: question.id, error: String(error) },
            'a question was not answered',
          ),
        )
        .finally(() => {
          this.#underWay.delete(answering);
          // One may have waited for this place.
          this.#look();
        });
      this.#underWay.set(answering, question.instance);
    }
  }

  async #answer(question: Question): Promise<void> {
    const { questions, bell, registry } = this.#options;
    const instance = registry.byId(question.instance);
    const answer =
      instance === null
        ? failed(`Provider instance "${question.instance}" is not configured at the worker.`)
        : question.kind === 'health'
          ? await this.#health(instance)
          : await this.#about(instance, question, question.kind);
    await questions.answer(question.id, answer);
    void bell.ring('answered', question.id);
  }

  async #health(instance: ProviderInstance): Promise<QuestionAnswer> {
    if (instance.provider.calls.health === undefined)
      return refused('notAllowed', `The plugin of "${instance.id}" cannot tell how its vendor fares.`);
    const report = await this.#options.health.check(instance);
    return report === null
      ? failed(`The vendor of "${instance.id}" is not to be called now. Ask again later.`)
      : { kind: 'answered', value: report as unknown as Json };
  }

  async #about(
    instance: ProviderInstance,
    { id, about }: Question,
    kind: 'plan' | 'observe',
  ): Promise<QuestionAnswer> {
    const found = about === null ? null : instance.findAction(about.actionName);
    if (about === null || found === null) return failed('The action is not configured at the worker.');
    const { manifest } = found;
    const parameters = await openParameters(
      this.#options.seal,
      { kind: 'question', tenantId: about.tenantId, id },
      about,
    ).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    if (parameters instanceof Error) {
      this.#options.log.error({ question: id, err: parameters }, 'secrets could not be opened');
      return failed(
        parameters instanceof UnsealError
          ? `${cannotBeOpened(parameters)} Ask again.`
          : 'The keys to the secret parameters cannot be had for now. Ask again later.',
      );
    }
    const parsed = parseParameters(manifest, parameters);
    if (!parsed.ok) return refused('invalidRequest', `${found.name}: ${parsed.problems.join('; ')}.`);
    const { plan, observe } = instance.provider.calls;
    if (kind === 'plan' ? plan === undefined : observe === undefined)
      return refused('notAllowed', `The plugin of "${instance.id}" cannot ${kind}.`);
    const secrets = secretsToHide(manifest, parameters, parsed.values).map(([, secret]) => secret);
    const deadlineAt = new Date(Date.now() + ANSWER_WITHIN_MS);
    const request = { action: found.name, parameters: parsed.values };
    const facts = { question: id, tenant: about.tenantId, action: found.name };
    const result = await this.#options.calls.run<Json>(
      {
        name: 'question',
        instance,
        actionName: found.name,
        tenantId: about.tenantId,
        timeoutMs: ANSWER_WITHIN_MS,
        secrets,
        shutdown: this.#shutdown.signal,
        facts,
      },
      async (ofInstance) => {
        // It is about an action that is not there: its id is the question's, and no attempt was ever issued.
        const context: CallContext = {
          ...ofInstance,
          actionId: id,
          tenantId: about.tenantId,
          attempt: 1,
          idempotencyKey: id,
          issuedAt: null,
          lastCheckpoint: null,
          deadlineAt,
        };
        if (kind === 'plan' && plan !== undefined)
          return checkedPlan(await plan(context, request)) as unknown as Json;
        if (observe === undefined) throw new TypeError('the plugin has no observe');
        return checkedObservation(await observe(context, request)) as unknown as Json;
      },
    );
    return this.#answerOf(instance, result, [...Object.values(instance.config.secrets), ...secrets], facts);
  }

  #answerOf(
    instance: ProviderInstance,
    result: InstanceCallResult<Json>,
    secrets: readonly string[],
    facts: Readonly<Record<string, unknown>>,
  ): QuestionAnswer {
    switch (result.kind) {
      case 'returned':
        return { kind: 'answered', value: withoutSecrets(result.value, secrets) as Json };
      case 'stopped':
        return failed(
          result.why === 'deadline'
            ? `The vendor of "${instance.id}" did not answer within ${ANSWER_WITHIN_MS / 1000} s. Ask again later.`
            : 'The worker stops. Ask again.',
        );
      case 'denied':
        return failed(
          `The vendor of "${instance.id}" is not to be called now (${result.reason}). Ask again later.`,
        );
      case 'threw': {
        const { error } = result;
        if (!(error instanceof ProviderError)) {
          this.#options.log.error(
            { instance: instance.id, ...facts, error: withoutSecrets(error, secrets) },
            'plugin failed unexpectedly',
          );
          return refused(
            'failedDependency',
            'The plugin failed unexpectedly; the log of the worker says how.',
          );
        }
        const message = String(withoutSecrets(error.message, secrets));
        if (error.next !== 'fail') return failed(message);
        return refused(ASKED_WRONG.has(error.errorClass) ? 'invalidRequest' : 'failedDependency', message);
      }
    }
  }
}

function refused(code: ErrorCode, message: string): QuestionAnswer {
  return { kind: 'refused', code, message };
}

function failed(message: string): QuestionAnswer {
  return { kind: 'failed', message };
}
