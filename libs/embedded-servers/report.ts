/** Receives lines for people about what takes time: a download, an unpacking, a server that starts. */
export type Report = (message: string) => void;

/** Says every `everyMs` that something is still going on, so that nothing is silent for long. */
export async function stillReporting<T>(
  report: Report,
  what: string,
  work: Promise<T>,
  everyMs = 5000,
): Promise<T> {
  const startedAt = performance.now();
  const timer = setInterval(
    () => report(`${what} (${Math.round((performance.now() - startedAt) / 1000)} s)`),
    everyMs,
  );
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
