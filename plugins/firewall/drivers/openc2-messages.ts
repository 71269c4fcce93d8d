import { Type, compileSchema, type Json, type Static } from '#provider-sdk';

/**
 * OpenC2 messages over HTTPS (open-impl-https v1.1, 3.3.2), with commands of the profile for stateless packet filtering
 * (SLPF v1.0).
 */

export const CONTENT_TYPE = 'application/openc2+json;version=1.0';
export const PATH = '/.well-known/openc2';

export interface Command {
  readonly action: 'deny' | 'delete' | 'query';
  readonly target: Json;
  readonly args: Json;
  readonly actuator?: Json;
  /** The same command again has the same: it is carried out once. */
  readonly command_id: string;
}

export function message(command: Command, createdMs: number): Json {
  return {
    headers: { request_id: command.command_id, created: createdMs, from: 'riposte' },
    body: { openc2: { request: { ...command } } },
  };
}

const Answer = Type.Object({
  status: Type.Integer(),
  status_text: Type.Optional(Type.String()),
  results: Type.Optional(
    Type.Object({
      slpf: Type.Optional(Type.Object({ rule_number: Type.Optional(Type.Integer()) })),
      profiles: Type.Optional(Type.Array(Type.String())),
      pairs: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
    }),
  ),
});
export type OpenC2Answer = Static<typeof Answer>;

/** The response in a body: as a message, or bare as of consumers of version 1.0. Null where there is none. */
export function answerIn(body: unknown): OpenC2Answer | null {
  const { openc2 } = ((body as { readonly body?: unknown } | null)?.body ?? {}) as {
    readonly openc2?: unknown;
  };
  const found = (openc2 as { readonly response?: unknown } | undefined)?.response ?? body;
  return compileSchema(Answer)(found) ? (found as OpenC2Answer) : null;
}
