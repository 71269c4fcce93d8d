/** What became of one request of a batch, its body as JSON. Kept as bytes: twenty pages of lists are many objects. */
export interface BatchAnswer {
  readonly id: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null: there is none. */
  readonly body: Buffer | null;
}

/** The answer to the batch, in the form of `BatchResponsesDto`. */
export function batchAnswer(answers: readonly BatchAnswer[]): Buffer {
  const parts = answers.flatMap(({ body, ...head }, index) => {
    const shown = JSON.stringify(head);
    const begin = index === 0 ? '' : ',';
    return body === null
      ? [Buffer.from(`${begin}${shown}`)]
      : [Buffer.from(`${begin}${shown.slice(0, -1)},"body":`), body, Buffer.from('}')];
  });
  return Buffer.concat([Buffer.from('{"responses":['), ...parts, Buffer.from(']}')]);
}
