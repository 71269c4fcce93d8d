/** Whether an `Accept-Encoding` takes gzip (RFC 9110, 12.5.3); none at all is taken for a no: not every client inflates. */
export function acceptsGzip(header: string | string[] | undefined): boolean {
  const weights = new Map(
    [header ?? '']
      .flat()
      .join()
      .split(',')
      .map((part) => {
        const [coding = '', ...parameters] = part.split(';').map((one) => one.trim().toLowerCase());
        const weight = parameters.find((one) => one.startsWith('q='))?.slice(2) ?? '1';
        return [coding, Number(weight)] as const;
      }),
  );
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}
