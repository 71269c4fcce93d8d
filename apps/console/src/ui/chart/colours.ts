import { useSyncExternalStore } from 'react';
import { usePreferences } from '../../shell/preferences.ts';

const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** Which colours are shown, as chosen or as the device has it. */
export function useColourScheme(): 'light' | 'dark' {
  const [{ theme }] = usePreferences();
  const system = useSyncExternalStore(subscribe, () => (dark.matches ? 'dark' : 'light'));
  return theme === 'system' ? system : theme;
}

function subscribe(listener: () => void): () => void {
  dark.addEventListener('change', listener);
  return () => dark.removeEventListener('change', listener);
}

/**
 * What the tokens are at the element now, as `rgb(…)`: a canvas knows no custom properties.
 * @param tokens as `--chart-1`
 */
export function resolveColours(element: HTMLElement, tokens: readonly string[]): (token: string) => string {
  const probe = document.createElement('span');
  probe.hidden = true;
  element.append(probe);
  const colours = new Map(
    tokens.map((token) => {
      probe.style.color = `var(${token})`;
      return [token, getComputedStyle(probe).color] as const;
    }),
  );
  probe.remove();
  return (token) => colours.get(token) ?? 'currentColor';
}
