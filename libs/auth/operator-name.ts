import { UserError } from '#domain';

/** Without `@`: that tells those whom an issuer vouches for, see `ConsoleIssuer`. */
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const LONGEST_DISPLAY_NAME = 120;

/**
 * The name of a new account, in small letters.
 * @throws UserError `invalidRequest`
 */
export function operatorName(text: string): string {
  const name = text.trim().toLowerCase();
  if (!NAME.test(name))
    throw new UserError(
      'invalidRequest',
      'A name has 1 to 64 characters out of a-z, 0-9, ".", "_" and "-"; the first and the last are letters or digits. Names with "@" are those of people for whom an issuer vouches.',
    );
  return name;
}

/**
 * The name of an account as people see it.
 * @throws UserError `invalidRequest`
 */
export function displayName(text: string): string {
  const name = text.trim();
  if (name === '' || name.length > LONGEST_DISPLAY_NAME || /\p{C}/u.test(name))
    throw new UserError(
      'invalidRequest',
      `A display name is one line of 1 to ${LONGEST_DISPLAY_NAME} characters.`,
    );
  return name;
}
