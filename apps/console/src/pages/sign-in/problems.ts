const PROBLEMS: Readonly<Record<string, string>> = {
  expired: 'Signing in took too long, or was begun in another browser. Try once more.',
  denied: 'The issuer did not let you in, or you went back.',
  noRole: 'You are known there, but have no role in Riposte. Ask whoever administers it.',
  issuerUnavailable: 'The issuer does not answer. Try again in a while.',
  refused:
    'What the issuer sent could not be accepted. Try once more; if it stays so, the server’s log says why.',
};

/** Why signing in with an issuer failed, by the code in the address. */
export function problemInWords(code: string): string {
  return PROBLEMS[code] ?? 'Signing in failed. Try once more; if it stays so, the server’s log says why.';
}
