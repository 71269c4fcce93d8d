/**
 * Codes of Node.js for a certificate that nobody vouches for who is trusted. They are named after OpenSSL's:
 * https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
 */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'INVALID_CA',
]);

/**
 * The problem and its remedy in words.
 *
 * @param code of the error of a connection, such as `CERT_HAS_EXPIRED`
 * @param host whom the connection was to
 * @param hasCa whether the instance names authorities of its own
 * @returns null where it was not for a certificate
 */
export function certificateProblem(code: string, host: string, hasCa: boolean): string | null {
  if (UNTRUSTED.has(code))
    return hasCa
      ? `The certificate of ${host} is signed by none of the authorities in network.ca of this instance (${code}); nothing was sent. Set network.ca to the certificate of the authority that signed it, or to the vendor's own.`
      : `The certificate of ${host} is signed by an authority that this instance does not trust (${code}); nothing was sent. Set network.ca of the instance to the certificate of that authority, or to the vendor's own.`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `The certificate of ${host}, or of who signed it, is ${code === 'CERT_HAS_EXPIRED' ? 'not valid any more' : 'not valid yet'} (${code}); nothing was sent. Renew it at the vendor, and look at the clock of this machine.`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `The certificate that ${host} shows is of another name (${code}); nothing was sent. Call the vendor by a name or address that stands in its certificate, or give it a certificate with this one.`;
  return null;
}
