const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True for the 8-4-4-4-12 form of a GUID, in any case. */
export function isGuid(text: string): boolean {
  return GUID.test(text);
}
