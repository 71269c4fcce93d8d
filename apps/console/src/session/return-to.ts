/**
 * Where to go after signing in: a path of this site, else `/`. Nothing else, for the address may be anybody's.
 * @param origin of this site
 */
export function returnPath(wanted: string | undefined, origin: string = window.location.origin): string {
  if (wanted === undefined || !/^\/(?![/\\])/.test(wanted)) return '/';
  const url = new URL(wanted, origin);
  if (url.origin !== origin || /^\/sign-in(?:\/|$)/.test(url.pathname)) return '/';
  return `${url.pathname}${url.search}${url.hash}`;
}

/** Whether the path is not a page of the console, but one of the server's own, as Bull Board or the way to an issuer. */
export function isOutside(path: string): boolean {
  return /^\/(?:ops|docs|sign-in\/with)(?:[/?#]|$)/.test(path);
}
