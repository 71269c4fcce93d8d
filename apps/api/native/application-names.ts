import { CONSOLE_APP_ID, type Application } from '#domain';

/** An application as people know it. */
export interface NamedApplication {
  /** GUID in small letters. */
  readonly appId: string;
  readonly name: string;
}

/** The clients of the built-in issuer. */
interface Clients {
  list(tenantId: string): Promise<readonly Pick<Application, 'appId' | 'name'>[]>;
}

/** What applications are called: as the configuration says, else by the names of the built-in issuer's clients. */
export class ApplicationNames {
  readonly #configured: ReadonlyMap<string, string>;
  readonly #clients: Clients | null;

  /**
   * @param configured by their ids in small letters
   * @param clients null: there is no built-in issuer
   */
  constructor(configured: ReadonlyMap<string, string>, clients: Clients | null) {
    this.#configured = configured;
    this.#clients = clients;
  }

  /**
   * Those that a tenant may know of, clients oldest first; at most some 10,000.
   * @throws OperationalError without a database
   */
  async of(tenantId: string): Promise<readonly NamedApplication[]> {
    const clients = (await this.#clients?.list(tenantId)) ?? [];
    const names = new Map([
      [CONSOLE_APP_ID, 'Console'],
      ...clients.map(({ appId, name }) => [appId, name] as const),
      ...this.#configured,
    ]);
    return [...names].map(([appId, name]) => ({ appId, name }));
  }
}
