import { generate } from 'selfsigned';
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';

/** Certificate and key in PEM. */
export interface TrustedCertificate {
  readonly cert: string;
  readonly key: string;
  /** Takes back that this process trusts it. */
  distrust(): Promise<void>;
}

/** A certificate of `localhost` and `127.0.0.1` that this process's `fetch` trusts. */
export async function trustedCertificate(): Promise<TrustedCertificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: '127.0.0.1' },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
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
