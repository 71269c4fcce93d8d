/** The form in which action and parameter names are compared: lower case, without `_`, `-` and spaces. */
export function canonicalName(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_-]/g, '');
}
