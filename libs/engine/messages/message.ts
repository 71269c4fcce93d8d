/** How good it is what is told. */
export type Tone = 'good' | 'bad' | 'unknown' | 'neutral';

/** One thing that people are told. Texts are as they came, whoever wrote them: each medium escapes them in its way. */
export interface Told {
  /** What it is about: an action's name. */
  readonly name: string;
  /** What became of it, in Riposte's own words. */
  readonly outcome: string;
  readonly tone: Tone;
  /** Most important first: where a medium has no room, the last are left out. */
  readonly facts: readonly Fact[];
  /** Where more of it is to be seen; null: nobody knows. */
  readonly link: string | null;
}

export interface Fact {
  readonly label: string;
  readonly value: string;
}

/** A line that says it all, for a mail's subject or a phone's notification. */
export function summaryOf(told: readonly Told[]): string {
  const [first, ...others] = told;
  if (first === undefined) return 'Riposte';
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  return `${first.name} ${first.outcome}${more}`;
}
