import { Transform, finished, pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { UserError } from '#domain';

/**
 * Takes request bodies that are compressed with gzip. The route's limit of bytes holds for what comes out, and
 * for what goes in: the body that passes either is cut off there, and no more of it is inflated.
 */
export function inflateBodies(server: FastifyInstance): void {
  server.addHook('onRequest', async (request, reply) => {
    const encodings = encodingsOf(request);
    if (encodings.length === 0 || (encodings.length === 1 && isGzip(encodings[0]))) return;
    // RFC 7694: what would have been taken. Clients that can then send the body plain.
    reply.header('accept-encoding', 'gzip');
    throw new UserError(
      'unsupportedMediaType',
      `Content-Encoding "${encodings.join(', ')}" is not supported; send the body as it is, or compressed once with gzip.`,
    );
  });
  server.addHook('preParsing', (request, _reply, payload, done) => {
    if (hasBody(request) && isGzip(encodingsOf(request)[0])) {
      done(null, inflated(payload, request.routeOptions.bodyLimit));
    } else {
      done(null, payload);
    }
  });
}

function encodingsOf(request: FastifyRequest): readonly string[] {
  return (request.headers['content-encoding'] ?? '')
    .split(',')
    .map((encoding) => encoding.trim().toLowerCase())
    .filter((encoding) => encoding !== '' && encoding !== 'identity');
}

/** RFC 9110, 8.4.1.3: `x-gzip` is another name of gzip. */
function isGzip(encoding: string | undefined): boolean {
  return encoding === 'gzip' || encoding === 'x-gzip';
}

function hasBody(request: FastifyRequest): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** What Fastify compares with Content-Length in place of the bytes that come out. */
type Inflated = Transform & { receivedEncodedLength: number };

function inflated(compressed: Readable, limit: number): Inflated {
  let size = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= limit) done(null, chunk);
      else done(new UserError('requestTooLarge', `The body is larger than ${limit} bytes, inflated.`));
    },
  });
  const outlet = Object.assign(bounded, { receivedEncodedLength: 0 });
  const gunzip = createGunzip();
  compressed.on('data', (chunk: Buffer) => {
    outlet.receivedEncodedLength += chunk.length;
    if (outlet.receivedEncodedLength > limit)
      outlet.destroy(new UserError('requestTooLarge', `The body is larger than ${limit} bytes.`));
  });
  // Not part of the pipeline, which would destroy the connection that has yet to carry the answer.
  compressed.pipe(gunzip);
  finished(compressed, (error) => {
    if (error) gunzip.destroy(error);
  });
  gunzip.once('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code?.startsWith('Z_') === true)
      outlet.destroy(new UserError('invalidRequest', 'The body is not valid gzip.', { cause }));
  });
  pipeline(gunzip, outlet, () => undefined);
  return outlet;
}
