/** What the tests read of an OpenAPI 3.1 document. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
}

interface OpenApiOperation {
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<Record<string, { readonly headers?: Readonly<Record<string, unknown>> }>>;
}

/** A documented route. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  /** Each is enough; none: no token is asked for. */
  readonly roles: readonly string[];
  /** Schema of a JSON body; null for none. */
  readonly body: object | null;
}

export async function documentOf(baseUrl: string): Promise<OpenApiDocument> {
  return (await (await fetch(`${baseUrl}/openapi.json`)).json()) as OpenApiDocument;
}

export function operationsOf({ paths }: OpenApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      roles: security.flatMap((alternative) => Object.values(alternative).flat()),
      body: requestBody?.content['application/json']?.schema ?? null,
    })),
  );
}
