import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, Reflector } from '@nestjs/core';
import type { AuditReader } from '#audit';
import type { LocalSignIn, TenantPeople } from '#auth';
import type { ActionStore, RateLimit, SubscriptionStore } from '#domain';
import type {
  AskProvider,
  ManageSubscriptions,
  ManageWebhooks,
  ProviderRegistry,
  ResolveOutcome,
  RevertAction,
  SubmitAction,
} from '#engine';
import type { ActionFigures, ActionSearch, ViewStore, WorkerRegistry } from '#persistence';
import type { Logger } from '#telemetry';
import type { AuditTrail } from './audit/audit-trail.js';
import { AuditController } from './audit/audit.controller.js';
import type { Cancels } from './audit/cancels.js';
import { AuthGuard } from './auth.guard.js';
import type { Callers, ConsoleParts } from './callers.js';
import { BatchController } from './batch/batch.controller.js';
import type { EventStreams } from './events/event-streams.js';
import { EventsController } from './events/events.controller.js';
import { FeedsController } from './feeds/feeds.controller.js';
import type { Feeds } from './feeds/feeds.js';
import { HealthController } from './health/health.controller.js';
import type { Health } from './health/health.js';
import { GraphExceptionFilter } from './http/graph-exception.filter.js';
import type { LinkBase } from './http/link-base.js';
import type { ApplicationNames } from './native/application-names.js';
import { ApplicationsController } from './native/applications.controller.js';
import { NativeActionsController } from './native/actions.controller.js';
import { ExportActions } from './native/export-actions.js';
import { OverviewController } from './native/overview.controller.js';
import { ProvidersController } from './native/providers.controller.js';
import type { Providers } from './native/providers.js';
import type { Outlooks } from './native/outlook.js';
import { ViewsController } from './native/views.controller.js';
import { WorkersController } from './native/workers.controller.js';
import { OperatorsController } from './session/operators.controller.js';
import { SessionController } from './session/session.controller.js';
import type { SignInWays } from './session/session.dto.js';
import { ListActions } from './security-actions/list-actions.js';
import { SecurityActionsController } from './security-actions/security-actions.controller.js';
import { DeadLettersController } from './subscriptions/dead-letters.controller.js';
import { SubscriptionsController } from './subscriptions/subscriptions.controller.js';
import { WebhooksController } from './subscriptions/webhooks.controller.js';
import type { SkipTokens } from './skip-tokens.js';
import {
  ACTION_STORE,
  APPLICATION_NAMES,
  ASK_PROVIDER,
  AUDIT,
  AUDIT_TRAIL,
  CALLERS,
  CANCELS,
  CONSOLE,
  DEAD_LETTERS,
  EVENT_STREAMS,
  EXPORT_ACTIONS,
  FEEDS,
  FIGURES,
  HEALTH,
  LINK_BASE,
  LIST_ACTIONS,
  LOCAL_SIGN_IN,
  LOG,
  OUTLOOKS,
  PROVIDERS,
  RATE_LIMIT,
  REGISTRY,
  RESOLVE_OUTCOME,
  REVERT_ACTION,
  SEARCH,
  SIGN_IN_WAYS,
  SUBMIT_ACTION,
  SUBSCRIPTIONS,
  TENANT_PEOPLE,
  VIEWS,
  WEBHOOKS,
  WORKERS,
} from './tokens.js';

/** The parts of the engine that the API calls. */
export interface ApiParts {
  readonly store: ActionStore;
  readonly search: ActionSearch;
  readonly figures: ActionFigures;
  readonly views: ViewStore;
  readonly registry: ProviderRegistry;
  readonly workers: WorkerRegistry;
  readonly applicationNames: ApplicationNames;
  readonly submit: SubmitAction;
  readonly audit: AuditReader;
  readonly trail: AuditTrail;
  readonly cancels: Cancels;
  readonly resolve: ResolveOutcome;
  readonly revert: RevertAction;
  readonly ask: AskProvider;
  readonly providers: Providers;
  readonly outlooks: Outlooks;
  readonly events: EventStreams;
  readonly subscriptions: ManageSubscriptions;
  readonly webhooks: ManageWebhooks;
  readonly deadLetters: Pick<SubscriptionStore, 'deadLetters' | 'replay'>;
  readonly feeds: Feeds;
  readonly health: Health;
  readonly callers: Callers;
  readonly console: ConsoleParts;
  /** Null: nobody signs in by a password. */
  readonly localSignIn: LocalSignIn | null;
  readonly signInWays: SignInWays;
  /** Null: accounts are not kept here. */
  readonly people: TenantPeople | null;
  /** Null: nobody is limited. */
  readonly rateLimit: RateLimit | null;
  readonly skipTokens: SkipTokens;
  readonly log: Logger;
  readonly linkBase: LinkBase;
}

@Module({})
export class ApiModule {
  static with(parts: ApiParts): DynamicModule {
    return {
      module: ApiModule,
      controllers: [
        SecurityActionsController,
        BatchController,
        SubscriptionsController,
        DeadLettersController,
        WebhooksController,
        NativeActionsController,
        EventsController,
        OverviewController,
        ProvidersController,
        ViewsController,
        FeedsController,
        WorkersController,
        ApplicationsController,
        SessionController,
        OperatorsController,
        AuditController,
        HealthController,
      ],
      providers: [
        { provide: ACTION_STORE, useValue: parts.store },
        { provide: SEARCH, useValue: parts.search },
        { provide: FIGURES, useValue: parts.figures },
        { provide: REGISTRY, useValue: parts.registry },
        { provide: EXPORT_ACTIONS, useValue: new ExportActions(parts) },
        { provide: VIEWS, useValue: parts.views },
        { provide: LIST_ACTIONS, useValue: new ListActions(parts) },
        { provide: WORKERS, useValue: parts.workers },
        { provide: APPLICATION_NAMES, useValue: parts.applicationNames },
        { provide: SUBMIT_ACTION, useValue: parts.submit },
        { provide: AUDIT, useValue: parts.audit },
        { provide: AUDIT_TRAIL, useValue: parts.trail },
        { provide: CANCELS, useValue: parts.cancels },
        { provide: RESOLVE_OUTCOME, useValue: parts.resolve },
        { provide: REVERT_ACTION, useValue: parts.revert },
        { provide: ASK_PROVIDER, useValue: parts.ask },
        { provide: PROVIDERS, useValue: parts.providers },
        { provide: OUTLOOKS, useValue: parts.outlooks },
        { provide: EVENT_STREAMS, useValue: parts.events },
        { provide: SUBSCRIPTIONS, useValue: parts.subscriptions },
        { provide: WEBHOOKS, useValue: parts.webhooks },
        { provide: DEAD_LETTERS, useValue: parts.deadLetters },
        { provide: FEEDS, useValue: parts.feeds },
        { provide: HEALTH, useValue: parts.health },
        { provide: LOG, useValue: parts.log },
        { provide: LINK_BASE, useValue: parts.linkBase },
        { provide: CALLERS, useValue: parts.callers },
        { provide: CONSOLE, useValue: parts.console },
        { provide: LOCAL_SIGN_IN, useValue: parts.localSignIn },
        { provide: TENANT_PEOPLE, useValue: parts.people },
        { provide: SIGN_IN_WAYS, useValue: parts.signInWays },
        { provide: RATE_LIMIT, useValue: parts.rateLimit },
        {
          provide: APP_GUARD,
          inject: [Reflector, CALLERS, RATE_LIMIT],
          useFactory: (reflector: Reflector, callers: Callers, rateLimit: RateLimit | null) =>
            new AuthGuard(reflector, callers, rateLimit),
        },
        { provide: APP_FILTER, inject: [LOG], useFactory: (log: Logger) => new GraphExceptionFilter(log) },
      ],
    };
  }
}
