import { Body, Controller, Delete, Get, HttpCode, Inject, Post, Put, Req, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import {
  ApiBody,
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { INSTALLATION } from '#audit';
import { SignInRefusedError, type BegunSession, type LocalSignIn, type Origin } from '#auth';
import { CONSOLE_APP_ID, DefectError, UserError } from '#domain';
import type { Logger } from '#telemetry';
import type { AuditTrail, Doing } from '../audit/audit-trail.js';
import { Requires, sessionOf } from '../auth.guard.js';
import type { Callers, ConsoleParts } from '../callers.js';
import { ApiGraphError, ApiGraphErrors } from '../http/api-graph-errors.js';
import { BODY_LIMITS } from '../http/limits.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { AUDIT_TRAIL, CALLERS, CONSOLE, LOCAL_SIGN_IN, LOG, SIGN_IN_WAYS } from '../tokens.js';
import { SESSION_COOKIE, isSameOrigin, readCookie, writeCookie, type ConsoleCookie } from './console-site.js';
import {
  PasswordBodyDto,
  SESSION_ANSWER,
  SignInBodyDto,
  SignedInDto,
  SignedOutDto,
  TenantBodyDto,
  toSignedIn,
  type SignInWays,
} from './session.dto.js';

/** That the account has signed in with this browser before. */
const DEVICE_COOKIE: ConsoleCookie = { name: 'riposte-device', sameSite: 'Strict' };
/** Half a year after the last sign-in. */
const DEVICE_SECONDS = 180 * 86_400;

/** Bytes: nobody is known yet who sends it. */
const SIGN_IN_LIMITS = { ...BODY_LIMITS, bytes: 8 * 1024 };

/** Signing in to the console and out, and what a person does with their own session. */
@ApiTags('session')
@ApiExtraModels(SignedInDto, SignedOutDto)
@Controller('api/v1/session')
export class SessionController {
  constructor(
    @Inject(CALLERS) private readonly callers: Callers,
    @Inject(CONSOLE) private readonly console: ConsoleParts,
    @Inject(LOCAL_SIGN_IN) private readonly local: LocalSignIn | null,
    @Inject(SIGN_IN_WAYS) private readonly signInWays: SignInWays,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Get()
  @Requires('nothing')
  @ApiOperation({
    summary: 'Who has signed in to the console',
    description: 'Never 401: without a session it tells how to sign in.',
  })
  @ApiOkResponse({ schema: SESSION_ANSWER })
  async get(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SignedInDto | SignedOutDto> {
    void reply.header('cache-control', 'no-store');
    const found = await this.callers.bySession(request);
    return found === null
      ? { signedIn: false, signIn: this.signInWays }
      : toSignedIn(found, this.console.tenantNames);
  }

  @Post()
  @HttpCode(200)
  @Requires('nothing')
  @RouteConfig({ ownAuthentication: true, bodyLimits: SIGN_IN_LIMITS })
  @ApiOperation({
    summary: 'Sign in by name and password',
    description:
      'Sets the cookie of the session. 403: accounts are not kept here, or nobody may sign in by this address; the message says why. 429: too many attempts.',
  })
  @ApiBody({ type: SignInBodyDto })
  @ApiOkResponse({ type: SignedInDto })
  @ApiGraphErrors(400, 413, 415, 500, 503)
  @ApiGraphError(401, 'Name or password is wrong.')
  @ApiGraphError(
    403,
    'Accounts are not kept here, or nobody may sign in by this address; the message says why.',
  )
  @ApiGraphError(429, 'Too many attempts failed; the password was not looked at.')
  async signIn(
    @Body(new ParseBodyPipe(SignInBodyDto, 'name and password')) { name, password }: SignInBodyDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SignedInDto> {
    if (this.local === null)
      throw new UserError('accessDenied', 'Accounts are not kept here: sign in by one of the issuers.');
    if (!isSameOrigin(request, this.console.sites.of(request)))
      throw new UserError('accessDenied', 'The request was not sent by a page of the console.');
    const before = await this.callers.bySession(request);
    try {
      const account = await this.local.check(name, password, this.#originOf(request));
      await this.trail.note(
        { appId: CONSOLE_APP_ID, user: account.name, address: request.ip },
        {
          chain: account.grants[0]?.tenantId ?? INSTALLATION,
          kind: 'session.begun',
          about: { operator: account.name },
        },
      );
      const begun = await this.console.sessions.begin({ kind: 'local', account }, account.grants);
      if (before !== null) await this.console.sessions.end(before.session);
      await this.local.noteSignIn(account);
      this.log.info({ requestId: request.id, person: begun.session.person.id }, 'signed in');
      const device = this.local.proofFor(account);
      writeCookie(reply, this.console.sites.of(request), DEVICE_COOKIE, device, DEVICE_SECONDS);
      return this.#answer(begun, request, reply);
    } catch (error) {
      if (error instanceof SignInRefusedError) await this.#noteRefused(error, request);
      if (error instanceof UserError)
        this.log.info({ requestId: request.id, address: request.ip }, 'sign-in refused');
      throw error;
    }
  }

  @Delete()
  @HttpCode(204)
  @Requires('session')
  @ApiOperation({ summary: 'Sign out' })
  @ApiNoContentResponse({ description: 'The session has ended.' })
  async signOut(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const session = sessionOf(request);
    await this.trail.doing(request, this.#about('session.ended', request), () =>
      this.console.sessions.end(session),
    );
    this.#forget(request, reply);
  }

  @Post('end-all')
  @HttpCode(204)
  @Requires('session')
  @ApiOperation({ summary: 'Sign out everywhere: all sessions of the person end at once' })
  @ApiNoContentResponse({ description: 'All sessions of the person have ended.' })
  async endAll(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const session = sessionOf(request);
    await this.trail.doing(request, this.#about('session.allEnded', request), () =>
      this.console.sessions.endAllOf(session),
    );
    this.log.info({ requestId: request.id, person: session.person.id }, 'signed out everywhere');
    this.#forget(request, reply);
  }

  @Put('tenant')
  @Requires('session')
  @ApiOperation({
    summary: 'Work in another of your tenants',
    description: 'The session goes on under another cookie and ends when it would have.',
  })
  @ApiBody({ type: TenantBodyDto })
  @ApiOkResponse({ type: SignedInDto })
  @ApiGraphErrors(400, 401, 403, 404, 413, 415, 500, 503)
  async changeTenant(
    @Body(new ParseBodyPipe(TenantBodyDto, 'tenantId')) { tenantId }: TenantBodyDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SignedInDto> {
    const session = sessionOf(request);
    const move = () => this.console.sessions.moveTo(session, tenantId);
    // A tenant that is none of theirs has no record of what they ask for.
    const chain = session.person.grants.find((one) => one.tenantId === tenantId.toLowerCase())?.tenantId;
    const begun =
      chain === undefined
        ? await move()
        : await this.trail.doing(request, { ...this.#about('session.tenantChanged', request), chain }, move);
    return this.#answer(begun, request, reply);
  }

  @Put('password')
  @Requires('session')
  @ApiOperation({
    summary: 'Change your password',
    description:
      'All your other sessions end. 403: the current one is wrong. 409: it is not kept here, but by your issuer.',
  })
  @ApiBody({ type: PasswordBodyDto })
  @ApiOkResponse({ type: SignedInDto })
  @ApiGraphErrors(400, 401, 403, 409, 413, 415, 429, 500, 503)
  async changePassword(
    @Body(new ParseBodyPipe(PasswordBodyDto, 'current and new')) body: PasswordBodyDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SignedInDto> {
    const session = sessionOf(request);
    if (this.local === null || session.who.kind !== 'local')
      throw new UserError('notAllowed', 'Your password is not kept here: change it at your issuer.');
    const given = { current: body.current, next: body.new };
    const { local } = this;
    const { name } = session.who.account;
    const account = await this.trail.doing(request, this.#about('operator.passwordChanged', request), () =>
      local.changePassword(name, given, this.#originOf(request)),
    );
    this.log.info({ requestId: request.id, person: session.person.id }, 'password changed');
    return this.#answer(
      await this.console.sessions.renew(session, { kind: 'local', account }),
      request,
      reply,
    );
  }

  #about(kind: Doing['kind'], request: FastifyRequest): Doing {
    const { person, grant } = sessionOf(request);
    return { chain: grant.tenantId, kind, about: { operator: person.name } };
  }

  /** Each tenant of the account hears of it. What was given for a name may be a password: it is not kept. */
  #noteRefused({ account }: SignInRefusedError, { ip }: FastifyRequest): Promise<void> {
    const chains = account === null ? [INSTALLATION] : account.grants.map(({ tenantId }) => tenantId);
    return this.trail.noteIfPossible(
      { appId: CONSOLE_APP_ID, user: null, address: ip },
      ...chains.map((chain): Doing => ({
        chain,
        kind: 'session.refused',
        about: account === null ? {} : { operator: account.name },
      })),
    );
  }

  #answer(begun: BegunSession, request: FastifyRequest, reply: FastifyReply): SignedInDto {
    void reply.header('cache-control', 'no-store');
    writeCookie(reply, this.console.sites.of(request), SESSION_COOKIE, begun.secret);
    return toSignedIn(begun, this.console.tenantNames);
  }

  #originOf(request: FastifyRequest): Origin {
    const site = this.console.sites.find(request);
    return { address: request.ip, device: site === null ? null : readCookie(request, site, DEVICE_COOKIE) };
  }

  #forget(request: FastifyRequest, reply: FastifyReply): void {
    const site = this.console.sites.find(request);
    if (site === null) throw new DefectError('a session was found where there can be none');
    writeCookie(reply, site, SESSION_COOKIE, null);
  }
}
