import type { OpenAPIObject } from '@nestjs/swagger';
import { FEED_FILES } from './feed-content.js';

const text = (description: string) => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' as const } } },
});

const COME_AGAIN = {
  'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } },
} as const;

/** The feeds' route for the OpenAPI document: it is no controller's, and firewalls send no token. */
export const FEED_PATHS: OpenAPIObject['paths'] = {
  '/feeds/{tenant}/{list}.txt': {
    get: {
      operationId: 'getFeed',
      tags: ['feeds'],
      summary: "A list of what is blocked, for the tenant's firewalls to fetch",
      description:
        'One entry a line, no comments. HTTP Basic with any user name, which tells firewalls apart, and the password of the feed; or that as a bearer token. Any answer but 200 and 304 means: keep the list you have.',
      security: [{ feed: [] }],
      parameters: [
        {
          name: 'tenant',
          in: 'path',
          required: true,
          description: 'The tenant.',
          schema: { type: 'string', format: 'uuid' },
        },
        {
          name: 'list',
          in: 'path',
          required: true,
          description: 'Which list, and how its entries are written.',
          schema: { type: 'string', enum: Object.keys(FEED_FILES) },
        },
        {
          name: 'If-None-Match',
          in: 'header',
          description: 'The ETag of the list there is.',
          schema: { type: 'string' },
        },
      ],
      responses: {
        200: {
          ...text('The whole list; empty when nothing is blocked.'),
          headers: {
            ETag: { description: 'Strong.', schema: { type: 'string' } },
            'Last-Modified': { schema: { type: 'string' } },
          },
        },
        304: { description: 'It is the one of If-None-Match.' },
        400: text('The request is not valid.'),
        401: text('No password, or not the right one.'),
        403: text("Not one of the feed's firewalls, by its address."),
        404: text('There is no such list.'),
        429: { ...text('Fetched too often, or too many wrong passwords.'), headers: COME_AGAIN },
        500: text('A defect of ours.'),
        503: { ...text('The database cannot be reached.'), headers: COME_AGAIN },
      },
    },
  },
};
