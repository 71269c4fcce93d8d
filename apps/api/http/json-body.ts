import jsonc from 'jsonc-parser';
import { UserError } from '#domain';
import type { BodyLimits } from './limits.js';

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Parses a JSON request body strictly: UTF-8, not too deep or too much, no key twice in one object (which parsers read
 * differently, so that a check and an effect could see different values).
 *
 * @returns undefined for an empty body, which some clients send with a JSON content type
 * @throws UserError `invalidRequest` that says what is wrong and where
 */
export function parseJsonBody(body: Buffer, limits: BodyLimits): unknown {
  if (body.length === 0) return undefined;
  const text = decode(body);
  checkStructure(text, limits);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new UserError('invalidRequest', `The body is not valid JSON: ${(cause as Error).message}.`, {
      cause,
    });
  }
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (cause) {
    throw new UserError('invalidRequest', 'The body is not valid UTF-8.', { cause });
  }
}

function checkStructure(text: string, limits: BodyLimits): void {
  const keysByDepth: Set<string>[] = [];
  let depth = 0;
  let keys = 0;
  let values = 0;
  const count = (): void => {
    values += 1;
    if (values > limits.values)
      throw new UserError('invalidRequest', `The body has more than ${limits.values} values.`);
  };
  const enter = (): void => {
    count();
    depth += 1;
    if (depth > limits.depth)
      throw new UserError('invalidRequest', `The body is nested deeper than ${limits.depth} levels.`);
    keysByDepth[depth] = new Set();
  };
  const leave = (): void => {
    depth -= 1;
  };
  jsonc.visit(text, {
    onObjectBegin: enter,
    onArrayBegin: enter,
    onObjectEnd: leave,
    onArrayEnd: leave,
    onLiteralValue: count,
    onObjectProperty: (key, _offset, _length, line, character) => {
      const seen = keysByDepth[depth];
      const where = `line ${line + 1}, column ${character + 1}`;
      if (seen?.has(key) === true)
        throw new UserError(
          'invalidRequest',
          `The body has the key "${key}" twice in one object (${where}).`,
        );
      if (FORBIDDEN_KEYS.has(key))
        throw new UserError('invalidRequest', `The property "${key}" is not known (${where}).`);
      seen?.add(key);
      keys += 1;
      if (keys > limits.keys)
        throw new UserError('invalidRequest', `The body has more than ${limits.keys} properties.`);
    },
  });
}
