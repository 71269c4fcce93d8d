/**
 * Measures subjects by turns, round by round, so that each meets the machine in all its moods. The order turns with
 * the rounds: each is the first, the last, and the neighbour of the others.
 */
export async function interleaved<Subject>(
  subjects: readonly Subject[],
  rounds: number,
  measure: (subject: Subject, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1)
    for (const subject of orderOf(subjects, round)) await measure(subject, round);
}

/** The subjects from another one on in each round, every other round backwards. */
export function orderOf<Subject>(subjects: readonly Subject[], round: number): readonly Subject[] {
  const first = Math.floor(round / 2) % Math.max(1, subjects.length);
  const order = [...subjects.slice(first), ...subjects.slice(0, first)];
  return round % 2 === 0 ? order : order.toReversed();
}
