/** Where in a token a claim stands: a path with dots, or its steps where a name has dots itself. */
export type ClaimPath = string | readonly string[];

/** The steps to a claim, for example `['realm_access', 'roles']`. */
export type ClaimSteps = readonly string[];

/** The steps of a path. */
export function stepsOf(path: ClaimPath): ClaimSteps {
  return typeof path === 'string' ? path.split('.') : path;
}

/** What stands there; inherited properties are none of a token's. */
export function claimAt(payload: object, steps: ClaimSteps): unknown {
  return steps.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string, unknown>)[step]
        : undefined,
    payload,
  );
}
