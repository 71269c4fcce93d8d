import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  OperationalError,
  UserError,
  type Bell,
  type Caller,
  type HealthReport,
  type Json,
  type Question,
  type QuestionAnswer,
  type Questions,
  type SecretSeal,
} from '#domain';
import type { ObservedState, Plan } from '#provider-sdk';
import type { Logger } from '#telemetry';
import { checkSubmission, type Submission } from './check-submission.js';
import type { ProviderRegistry } from './registry.js';
import { sealParameters } from './secret-parameters.js';

/** Milliseconds until a question is given up: longer than a worker takes over one. */
const ANSWER_WITHIN_MS = 20_000;
/** Milliseconds between looks for an answer that nobody rang for. */
const LOOK_EVERY_MS = 1000;
/** Questions at one instance that this process has under way at once, and of these one tenant's. */
const MOST_WAITING = 20;
const MOST_OF_TENANT = 10;

/**
 * The asking side of what only a plugin can tell: a worker with the vendor's credentials answers, see
 * `AnswerQuestions`. Nothing is changed at the vendor.
 */
export class AskProvider {
  readonly #questions: Questions;
  readonly #bell: Bell;
  readonly #registry: ProviderRegistry;
  readonly #seal: SecretSeal;
  readonly #log: Logger;
  readonly #withinMs: number;
  /** What wakes those who wait, by the question's id. */
  readonly #waiting = new Map<string, () => void>();
  /** Whose questions are under way, by instance; null: the installation's. */
  readonly #underWay = new Map<string, (string | null)[]>();

  constructor(parts: {
    readonly questions: Questions;
    readonly bell: Bell;
    readonly registry: ProviderRegistry;
    /** Seals the values of secret parameters. */
    readonly seal: SecretSeal;
    readonly log: Logger;
    /** Milliseconds a question may take. Default 20,000. */
    readonly answerWithinMs?: number;
  }) {
    this.#questions = parts.questions;
    this.#bell = parts.bell;
    this.#registry = parts.registry;
    this.#seal = parts.seal;
    this.#log = parts.log;
    this.#withinMs = parts.answerWithinMs ?? ANSWER_WITHIN_MS;
    parts.bell.listen('answered', (id) => this.#waiting.get(id)?.());
  }

  /**
   * What the action would do.
   *
   * @throws UserError as `SubmitAction.submit`; `notAllowed` when its plugin cannot tell; what the vendor said against
   *   it otherwise: `invalidRequest` for what is wrong with the request, else `failedDependency`
   * @throws OperationalError `serviceNotAvailable` when no worker or no vendor answers, `tooManyRequests` when too
   *   many wait for an answer
   */
  async plan(caller: Caller, submission: Submission): Promise<Plan> {
    return (await this.#askAbout('plan', caller, submission)) as unknown as Plan;
  }

  /**
   * Whether the effect of such an action is in place at its target now.
   * @throws as `plan`
   */
  async observe(caller: Caller, submission: Submission): Promise<ObservedState> {
    return (await this.#askAbout('observe', caller, submission)) as unknown as ObservedState;
  }

  /**
   * Whether the vendor can be reached, found out now.
   *
   * @throws UserError `itemNotFound` for an instance that is not configured, `notAllowed` when its plugin cannot tell
   * @throws OperationalError as `plan`
   */
  async health(instance: string): Promise<HealthReport> {
    if (this.#registry.byId(instance) === null)
      throw new UserError('itemNotFound', `No provider instance "${instance}" is configured.`);
    return (await this.#ask({
      id: randomUUID(),
      kind: 'health',
      instance,
      about: null,
    })) as unknown as HealthReport;
  }

  async #askAbout(kind: 'plan' | 'observe', caller: Caller, submission: Submission): Promise<Json> {
    const { action, instance, secret } = checkSubmission(this.#registry, caller, submission);
    const { actionName, parameters } = action;
    if (kind === 'observe' && instance.findAction(actionName)?.manifest.observable !== true) {
      throw new UserError(
        'notAllowed',
        `Whether the effect of ${actionName} is in place cannot be told by its provider.`,
      );
    }
    const { tenantId } = caller;
    const id = randomUUID();
    const stored = await sealParameters(this.#seal, { kind: 'question', tenantId, id }, secret, parameters);
    return this.#ask({ id, kind, instance: instance.id, about: { tenantId, actionName, ...stored } });
  }

  async #ask(question: Question): Promise<Json> {
    const { instance, kind, about } = question;
    const tenantId = about?.tenantId ?? null;
    const others = this.#underWay.get(instance) ?? [];
    const own = others.filter((one) => one === tenantId);
    if (others.length >= MOST_WAITING || (tenantId !== null && own.length >= MOST_OF_TENANT)) {
      // How many other tenants ask is not told: that is their load.
      throw new OperationalError(
        'tooManyRequests',
        `Too many questions wait for an answer of provider instance "${instance}". Ask again later.`,
        5,
      );
    }
    this.#underWay.set(instance, [...others, tenantId]);
    const startedAt = performance.now();
    try {
      const answer = await this.#answerTo(question);
      const facts = { question: question.id, kind, instance, tenant: about?.tenantId };
      this.#log.info(
        { ...facts, answer: answer.kind, ms: Math.round(performance.now() - startedAt) },
        'question answered',
      );
      return valueOf(answer);
    } finally {
      const left = this.#underWay.get(instance) ?? [];
      this.#underWay.set(instance, left.toSpliced(left.indexOf(tenantId), 1));
    }
  }

  async #answerTo(question: Question): Promise<QuestionAnswer> {
    const { id, instance } = question;
    const until = performance.now() + this.#withinMs;
    let rang = false;
    let wake: (() => void) | undefined;
    this.#waiting.set(id, () => {
      rang = true;
      wake?.();
    });
    try {
      await this.#questions.ask(question);
      void this.#bell.ring('asked', instance);
      for (;;) {
        const leftMs = until - performance.now();
        if (leftMs <= 0) break;
        const woken = new AbortController();
        wake = () => woken.abort();
        if (!rang)
          await sleep(Math.min(LOOK_EVERY_MS, leftMs), undefined, { signal: woken.signal }).catch(
            () => undefined,
          );
        rang = false;
        const answer = await this.#questions.collect(id);
        if (answer !== null) return answer;
      }
      // What it is about is not to stay there.
      await this.#questions.withdraw(id);
    } finally {
      this.#waiting.delete(id);
    }
    throw new OperationalError(
      'serviceNotAvailable',
      `No worker answered for provider instance "${instance}" within ${Math.round(this.#withinMs / 1000)} s. Ask again.`,
      5,
    );
  }
}

function valueOf(answer: QuestionAnswer): Json {
  switch (answer.kind) {
    case 'answered':
      return answer.value;
    case 'refused':
      throw new UserError(answer.code, answer.message);
    case 'failed':
      throw new OperationalError('serviceNotAvailable', answer.message, 5);
  }
}
