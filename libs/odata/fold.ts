/**
 * What `tolower` and `toupper` make of a text: the letters A to Z change, all others stay as they are. The database
 * compares folded text by the same rule, which no locale and no version of Unicode can change.
 */
export function foldText(text: string, fold: 'none' | 'lower' | 'upper'): string {
  switch (fold) {
    case 'none':
      return text;
    case 'lower':
      return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
    case 'upper':
      return text.replaceAll(/[a-z]+/g, (letters) => letters.toUpperCase());
  }
}
