const PROBLEMS: Readonly<Record<string, string>> = {
  expired: 'Signing in took too long, or was begun in another browser. Try once more.',
  refused: 'The issuer did not let you in, or you went back.',
  failed:
    'What the issuer sent could not be accepted. Try once more; if it stays so, the server’s log says why.',
  noRole: 'The issuer knows you, but you have no role in Riposte. Ask whoever administers it.',
  unavailable: 'The issuer does not answer. Try again in a while.',
  insecure:
    'Nobody can sign in over plain HTTP, where others could read along. Use the address that begins with https.',
};

/** Why signing in with an issuer failed, by the code that `/sign-in?problem=` has. */
export function problemInWords(code: string): string {
  return PROBLEMS[code] ?? 'Signing in failed. Try once more; if it stays so, the server’s log says why.';
}
