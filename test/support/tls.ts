import { generate } from 'selfsigned';
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';

/** Certificate and key in PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface TrustedCertificate extends KeyedCertificate {
  /** Takes back that this process trusts it. */
  distrust(): Promise<void>;
}

const LOCALHOST = [
  { type: 7, ip: '127.0.0.1' },
  { type: 2, value: 'localhost' },
] as const;

/** An authority that nobody trusts who is not told to. */
export class Authority {
  private constructor(private readonly own: KeyedCertificate) {}

  static async make(name = 'Authority of a test'): Promise<Authority> {
    const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
    return new Authority({ cert, key });
  }

  get cert(): string {
    return this.own.cert;
  }

  /** A certificate of this machine, unless it is to be of another name. */
  async issue(
    options: { readonly host?: string; readonly isExpired?: boolean } = {},
  ): Promise<KeyedCertificate> {
    const { host, isExpired = false } = options;
    const altNames = host === undefined ? [...LOCALHOST] : [{ type: 2 as const, value: host }];
    const { cert, private: key } = await generate([{ name: 'commonName', value: host ?? 'localhost' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      ca: this.own,
      extensions: [{ name: 'subjectAltName', altNames }],
      ...(isExpired ? { notBeforeDate: new Date('2020-01-01'), notAfterDate: new Date('2021-01-01') } : {}),
    });
    return { cert, key };
  }
}

/** A certificate of `localhost` and `127.0.0.1` that this process's `fetch` trusts. */
export async function trustedCertificate(): Promise<TrustedCertificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [...LOCALHOST] }],
  });
  const before = getGlobalDispatcher();
  const trusting = new Agent({ connect: { ca: cert } });
  setGlobalDispatcher(trusting);
  return {
    cert,
    key,
    async distrust() {
      setGlobalDispatcher(before);
      await trusting.close();
    },
  };
}
