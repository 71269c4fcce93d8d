const PROBLEMS: Readonly<Record<string, string>> = {
  expired: 'Signing in took too long or was started in another browser. Try again.',
  refused: 'The identity provider refused the sign-in, or it was cancelled.',
  failed:
    'The answer of the identity provider could not be accepted. Try again; if it keeps failing, the server log says why.',
  noRole: 'You are signed in, but have no role in Riposte. Ask an administrator to give you one.',
  unavailable: 'The identity provider is not responding. Try again in a few minutes.',
  insecure:
    'Sign-in over plain HTTP is refused because others could read your password. Use the address that begins with https.',
};

/** Why signing in with an issuer failed, by the code that `/sign-in?problem=` has. */
export function problemInWords(code: string): string {
  return PROBLEMS[code] ?? 'Signing in failed. Try again; if it keeps failing, the server log says why.';
}
