/** A secret of an application, as it is kept: its hash, and what people recognise it by. */
export interface ApplicationSecret {
  readonly id: string;
  /** What `#auth` made of the secret; the secret itself is nowhere. */
  readonly hash: string;
  /** The secret's first characters after its prefix, by which it is found again. */
  readonly hint: string;
  readonly createdAt: Date;
  /** Null: it does not expire. */
  readonly expiresAt: Date | null;
}

/** A client of the built-in issuer: one application of one tenant. */
export interface Application {
  /** GUID in small letters: the client id. */
  readonly appId: string;
  /** GUID in small letters. */
  readonly tenantId: string;
  readonly name: string;
  /** The roles its tokens carry. */
  readonly roles: readonly string[];
  readonly secrets: readonly ApplicationSecret[];
  readonly createdAt: Date;
  /** Since when it gets no tokens and those it has are refused. Null: it is in use. */
  readonly disabledAt: Date | null;
  /** When it was last revoked: tokens issued until then stay refused also after it is restored. */
  readonly revokedAt: Date | null;
}

/** Tokens of which application are refused. */
export type Revocation = Pick<Application, 'tenantId' | 'appId' | 'disabledAt' | 'revokedAt'>;

/** What the issuer has to know of the applications. Methods throw `OperationalError` without a database. */
export interface ApplicationDirectory {
  /** @param appId in any case */
  find(appId: string): Promise<Application | null>;
  /** Every application that was ever revoked. */
  revocations(): Promise<readonly Revocation[]>;
}

/** The public half of a key that tokens are signed with. The private half never leaves the data dir it was made in. */
export interface IssuerPublicKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly n: string;
  readonly e: string;
}

/** How the API processes of an installation tell each other their issuers' public keys. */
export interface IssuerKeyBoard {
  /** Says that this key signs, now. A key that was retired or revoked stays so. Safe to repeat. */
  publish(key: IssuerPublicKey): Promise<void>;
  /** The keys whose tokens are accepted, and the ids of those that were revoked. */
  read(): Promise<{ readonly valid: readonly IssuerPublicKey[]; readonly revoked: readonly string[] }>;
}
