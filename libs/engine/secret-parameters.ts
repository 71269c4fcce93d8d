import type { KeyValuePair, SealedPlace, SecretSeal, StoredParameters, UnsealError } from '#domain';
import { canonicalName, secretParameterNames, secretTexts, type ActionManifest } from '#provider-sdk';

/** The value of the parameter at a place in the list. */
type SecretValue = readonly [index: number, value: string];

/**
 * Parameters as they may be stored: the values of secret ones are sealed together, and null stands in their places. Where
 * none is secret nothing is sealed, and it costs nothing.
 *
 * @param secret names of the secret ones, canonical
 * @param sealed those of the parameters that were sealed before, with null in their places; they are sealed with the others
 * @throws UnsealError, OperationalError as `SecretSeal`
 */
export async function sealParameters(
  seal: SecretSeal,
  place: SealedPlace,
  secret: ReadonlySet<string>,
  given: readonly KeyValuePair[],
  sealed: string | null = null,
): Promise<StoredParameters> {
  if (secret.size === 0) return { parameters: given, sealed };
  const values = given.flatMap(({ name, value }, index): readonly SecretValue[] =>
    value !== null && secret.has(canonicalName(name)) ? [[index, value]] : [],
  );
  if (values.length === 0) return { parameters: given, sealed };
  const before = sealed === null ? [] : await valuesIn(seal, place, sealed);
  return {
    parameters: withoutSecretValues(secret, given),
    sealed: await seal.seal(JSON.stringify([...before, ...values]), place),
  };
}

/** Parameters with null in the place of each secret value. */
export function withoutSecretValues(
  secret: ReadonlySet<string>,
  given: readonly KeyValuePair[],
): readonly KeyValuePair[] {
  return given.map(({ name, value }) => ({ name, value: secret.has(canonicalName(name)) ? null : value }));
}

/**
 * Parameters as their caller sent them.
 * @throws UnsealError, OperationalError as `SecretSeal`
 */
export async function openParameters(
  seal: SecretSeal,
  place: SealedPlace,
  { parameters, sealed }: StoredParameters,
): Promise<readonly KeyValuePair[]> {
  if (sealed === null) return parameters;
  const values = new Map(await valuesIn(seal, place, sealed));
  return parameters.map(({ name, value }, index) => ({ name, value: values.get(index) ?? value }));
}

/** What no plugin may have stored or logged of secret parameters, each text with a name of its own: as it was sent, and as it is typed. */
export function secretsToHide(
  manifest: ActionManifest,
  given: readonly KeyValuePair[],
  typed: Readonly<Record<string, unknown>>,
): readonly (readonly [name: string, secret: string])[] {
  const secret = secretParameterNames(manifest);
  return [
    ...given.flatMap(({ name, value }) =>
      value !== null && secret.has(canonicalName(name)) ? [[name, value] as const] : [],
    ),
    ...secretTexts(manifest, typed).map(([name, text], index) => [`${name}.${index + 1}`, text] as const),
  ];
}

/** Where an action's secrets are sealed for. */
export function placeOfAction({ tenantId, id }: Pick<SealedPlace, 'tenantId' | 'id'>): SealedPlace {
  return { kind: 'action', tenantId, id };
}

/** For people: that secret parameters cannot be opened, and what to do for the next time. */
export function cannotBeOpened({ missingKey }: UnsealError): string {
  return missingKey === null
    ? 'Its secret parameters cannot be opened: what is stored of them was changed, or belongs to another record. Find out who writes to the database.'
    : `Its secret parameters are sealed with the key ${missingKey}, which the worker does not have. Give the workers all keys of the API (RIPOSTE_SECRETS_KEY_FILE).`;
}

async function valuesIn(
  seal: SecretSeal,
  place: SealedPlace,
  sealed: string,
): Promise<readonly SecretValue[]> {
  return JSON.parse(await seal.open(sealed, place)) as readonly SecretValue[];
}
