import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ConfigurationError } from '#domain';
import type { ClientCertificate, NetworkPolicy } from '#provider-sdk';
import type { RiposteConfig } from './config-file.js';
import { resolveSecrets } from './secrets.js';

type NetworkConfig = RiposteConfig['providers'][number]['network'];

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/**
 * Where an instance may call and whom it trusts there, with the files read that it names.
 *
 * @param key where it stands, for messages
 * @param folder of the configuration's file: paths are relative to it
 * @param env where the reference to a key is looked up
 * @throws ConfigurationError for a file that cannot be read, for what is no certificate or key in PEM, for a certificate
 *   without a key or the other way round, and for two that do not belong together
 */
export async function networkOf(
  key: string,
  { ca, clientCertificate, clientKey, ...where }: NetworkConfig,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NetworkPolicy> {
  const client = await clientOf(key, clientCertificate, clientKey, folder, env);
  return {
    ...where,
    ...(ca === undefined ? {} : { ca: await certificatesIn(`${key}.ca`, ca, folder) }),
    ...(client === null ? {} : { client }),
  };
}

async function clientOf(
  key: string,
  given: string | undefined,
  reference: string | undefined,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ClientCertificate | null> {
  if (given === undefined && reference === undefined) return null;
  if (given === undefined || reference === undefined)
    throw new ConfigurationError(
      `${key}: clientCertificate and clientKey belong together; give both or none`,
    );
  const certificate = await certificatesIn(`${key}.clientCertificate`, given, folder);
  const { clientKey = '' } = await resolveSecrets(key, { clientKey: reference }, env);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(clientKey);
  } catch {
    // Its own words could show of the key.
    throw new ConfigurationError(
      `${key}.clientKey: is no private key in PEM, or has a passphrase; take it off`,
    );
  }
  if (!new X509Certificate(certificate).checkPrivateKey(privateKey))
    throw new ConfigurationError(
      `${key}: clientKey is not the key of the first certificate in clientCertificate`,
    );
  return { certificate, key: clientKey };
}

/** @param given PEM, or the name of a file with it */
async function certificatesIn(key: string, given: string, folder: string): Promise<string> {
  const isText = given.includes('-----BEGIN');
  const file = path.resolve(folder, given);
  const text = isText
    ? given
    : await readFile(file, 'utf8').catch((cause: unknown) => {
        throw new ConfigurationError(`${key}: the file ${file} cannot be read`, { cause });
      });
  const where = isText ? 'the text' : `the file ${file}`;
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0)
    throw new ConfigurationError(`${key}: ${where} has no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  const certificates = found.map((one, index) => {
    try {
      return new X509Certificate(one);
    } catch (cause) {
      throw new ConfigurationError(`${key}: certificate ${index + 1} of ${where} cannot be read`, { cause });
    }
  });
  return certificates.join('');
}
