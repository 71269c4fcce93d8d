import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { retentionOf, type RiposteConfig } from '#config';
import { ConfigurationError } from '#domain';
import { reasonOf, type Findings } from './finding.js';
import type { Installation } from './installation.js';

const DAY_MS = 86_400_000;
/** Days before its end from which on a certificate is told of. */
const CERTIFICATE_DAYS = 21;

/** The configuration's file, and the certificate that the API serves. */
export async function checkConfiguration(installation: Installation, findings: Findings): Promise<void> {
  await checkFile(installation, findings);
  await checkCertificate(installation, findings);
}

async function checkFile(installation: Installation, findings: Findings): Promise<void> {
  const { configFile } = installation;
  let config: RiposteConfig;
  try {
    config = await installation.config();
    retentionOf(config);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    findings.problem('config.file', error.message, 'Change what it names: no process starts with it.');
    return;
  }
  if (!existsSync(configFile)) {
    findings.ok(
      'config.file',
      `there is none (${configFile}): only the mock provider, as "npm start" has it`,
    );
    return;
  }
  const { length } = config.providers;
  if (length === 0)
    findings.warning(
      'config.file',
      `${configFile} has no provider: every action is refused`,
      'Add the instances of your vendors under "providers".',
    );
  else
    findings.ok(
      'config.file',
      `${configFile}, ${length} provider ${length === 1 ? 'instance' : 'instances'}`,
    );
}

async function checkCertificate({ env }: Installation, findings: Findings): Promise<void> {
  const [certFile, keyFile] = [env['TLS_CERT'] || null, env['TLS_KEY'] || null];
  if (certFile === null && keyFile === null) return;
  if (certFile === null || keyFile === null) {
    findings.problem('tls.certificate', 'one of TLS_CERT and TLS_KEY is not set', 'Set both, or none.');
    return;
  }
  try {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    const certificate = new X509Certificate(cert);
    const days = Math.floor((Date.parse(certificate.validTo) - Date.now()) / DAY_MS);
    const until = `good until ${new Date(certificate.validTo).toISOString()}`;
    const fix = `Put another certificate into ${certFile}, and restart the API.`;
    if (days < 0) findings.problem('tls.certificate', `is expired: ${until}`, fix, certFile);
    else if (Date.parse(certificate.validFrom) > Date.now())
      findings.problem('tls.certificate', `is not good before ${certificate.validFrom}`, fix, certFile);
    else if (days < CERTIFICATE_DAYS)
      findings.warning('tls.certificate', `has ${days} days left: ${until}`, fix, certFile);
    else findings.ok('tls.certificate', until, certFile);
  } catch (error) {
    findings.problem(
      'tls.certificate',
      `TLS_CERT and TLS_KEY cannot be used: ${reasonOf(error)}`,
      'They have to be a certificate and its key in PEM, readable by the API.',
      certFile,
    );
  }
}
