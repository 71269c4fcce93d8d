import { useSyncExternalStore } from 'react';

/** What a person chose on this device. */
export interface Preferences {
  /** `system`: as the device has it. */
  readonly theme: 'system' | 'light' | 'dark';
  /** Shortcuts of one letter, which get in the way of speech input. */
  readonly shortcuts: boolean;
}

const KEY = 'riposte.preferences';
const listeners = new Set<() => void>();
let current = read();

/** The choices, and how to change some of them. They are kept in the browser. */
export function usePreferences(): readonly [Preferences, (changes: Partial<Preferences>) => void] {
  return [useSyncExternalStore(subscribe, () => current), change];
}

/** Shows the chosen theme; before anything is drawn. */
export function applyTheme(): void {
  const { theme } = current;
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

function change(changes: Partial<Preferences>): void {
  current = { ...current, ...changes };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Without storage it holds until the page is closed.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read(): Preferences {
  let stored: Partial<Preferences> | null = null;
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Preferences> | null;
  } catch {
    // As if nothing had been chosen.
  }
  const theme = stored?.theme === 'light' || stored?.theme === 'dark' ? stored.theme : 'system';
  return { theme, shortcuts: stored?.shortcuts !== false };
}
