import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, Reflector } from '@nestjs/core';
import type { TokenVerifier } from '#auth';
import type { ActionStore, RateLimit } from '#domain';
import type { CancelAction, ResolveOutcome, SubmitAction } from '#engine';
import type { WorkerRegistry } from '#persistence';
import type { Logger } from '#telemetry';
import { AuthGuard } from './auth.guard.js';
import { HealthController } from './health/health.controller.js';
import type { Health } from './health/health.js';
import { GraphExceptionFilter } from './http/graph-exception.filter.js';
import { NativeActionsController } from './native/actions.controller.js';
import { WorkersController } from './native/workers.controller.js';
import { SecurityActionsController } from './security-actions/security-actions.controller.js';
import {
  ACTION_STORE,
  CANCEL_ACTION,
  HEALTH,
  LOG,
  PUBLIC_URL,
  RATE_LIMIT,
  RESOLVE_OUTCOME,
  SUBMIT_ACTION,
  TOKEN_VERIFIER,
  WORKERS,
} from './tokens.js';

/** The parts of the engine that the API calls. */
export interface ApiParts {
  readonly store: ActionStore;
  readonly workers: WorkerRegistry;
  readonly submit: SubmitAction;
  readonly cancel: CancelAction;
  readonly resolve: ResolveOutcome;
  readonly health: Health;
  readonly verifier: TokenVerifier;
  /** Null: nobody is limited. */
  readonly rateLimit: RateLimit | null;
  readonly log: Logger;
  /** Absolute base of links, without a slash at its end. */
  readonly publicUrl: string;
}

@Module({})
export class ApiModule {
  static with(parts: ApiParts): DynamicModule {
    return {
      module: ApiModule,
      controllers: [SecurityActionsController, NativeActionsController, WorkersController, HealthController],
      providers: [
        { provide: ACTION_STORE, useValue: parts.store },
        { provide: WORKERS, useValue: parts.workers },
        { provide: SUBMIT_ACTION, useValue: parts.submit },
        { provide: CANCEL_ACTION, useValue: parts.cancel },
        { provide: RESOLVE_OUTCOME, useValue: parts.resolve },
        { provide: HEALTH, useValue: parts.health },
        { provide: LOG, useValue: parts.log },
        { provide: PUBLIC_URL, useValue: parts.publicUrl },
        { provide: TOKEN_VERIFIER, useValue: parts.verifier },
        { provide: RATE_LIMIT, useValue: parts.rateLimit },
        {
          provide: APP_GUARD,
          inject: [Reflector, TOKEN_VERIFIER, RATE_LIMIT],
          useFactory: (reflector: Reflector, verifier: TokenVerifier, rateLimit: RateLimit | null) =>
            new AuthGuard(reflector, verifier, rateLimit),
        },
        { provide: APP_FILTER, inject: [LOG], useFactory: (log: Logger) => new GraphExceptionFilter(log) },
      ],
    };
  }
}
