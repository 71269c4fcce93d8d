import { RAIL_SETTINGS, Type, type Static } from '#provider-sdk';

const rate = (what: string) =>
  Type.Number({ minimum: 0, maximum: 1, default: 0, description: `Share of calls that ${what}.` });

/** What riposte.config.yaml may say of a mock instance. */
export const settingsSchema = Type.Object(
  {
    mode: Type.Union(
      [Type.Literal('key'), Type.Literal('natural'), Type.Literal('lookup'), Type.Literal('none')],
      {
        default: 'natural',
        description: 'How the vendor it plays treats the same request twice.',
      },
    ),
    baseUrl: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description: 'A mock vendor to speak HTTP to; without one it plays the vendor itself.',
      }),
    ),
    faultRates: Type.Object(
      {
        transient: rate('fail without having been applied'),
        unknown: rate('are applied and then fail without an answer'),
      },
      { additionalProperties: false, default: {} },
    ),
    rails: Type.Optional(
      Type.Object(RAIL_SETTINGS, {
        additionalProperties: false,
        description:
          'Refuses to block what no driver may, as drivers of firewalls do. Without it everything is blocked.',
      }),
    ),
    notesCalls: Type.Boolean({
      default: false,
      description:
        'The result says when the plugin was called, in milliseconds since the epoch by the clock of the machine. For measurements.',
    }),
    crashes: Type.Boolean({
      default: false,
      description: 'Allows the action Crash, which takes the worker down. For fault tests only.',
    }),
  },
  { additionalProperties: false },
);

export type MockSettings = Static<typeof settingsSchema>;
