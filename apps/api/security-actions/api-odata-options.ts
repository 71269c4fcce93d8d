import { applyDecorators } from '@nestjs/common';
import { ApiQuery, type ApiQueryOptions } from '@nestjs/swagger';

const OPTIONS = {
  filter: {
    schema: { type: 'string', maxLength: 2048 },
    description: 'eq ne gt ge lt le in, and or not, contains startswith endswith, tolower toupper, any all.',
    example: "status eq 'Running' and createdDateTime ge 2026-01-01T00:00:00Z",
  },
  search: {
    schema: { type: 'string', maxLength: 512 },
    description: 'Words and "phrases", AND, OR, NOT, parentheses; letters in any case.',
  },
  orderby: {
    schema: { type: 'string', maxLength: 512, default: 'createdDateTime desc' },
    description: 'Up to five properties with asc or desc.',
    example: 'lastActionDateTime desc,name',
  },
  select: {
    schema: { type: 'string', maxLength: 1024 },
    description: 'The properties to show.',
    example: 'id,status,vendorInformation/provider',
  },
  top: {
    schema: { type: 'integer', minimum: 1, default: 100 },
    description: 'Actions a page; at most 1000 are sent at once.',
  },
  skip: { schema: { type: 'integer', minimum: 0, default: 0 }, description: 'Actions to leave out first.' },
  count: {
    schema: { type: 'boolean', default: false },
    description: 'Adds how many there are in all.',
  },
  skiptoken: { schema: { type: 'string' }, description: 'From the link to the next page; opaque.' },
  format: { schema: { type: 'string', enum: ['json', 'application/json'] }, description: 'Only json.' },
} as const satisfies Readonly<Record<string, ApiQueryOptions>>;

/**
 * Describes these options of a route.
 * @param sign what stands before their names: on the Graph surface each may be written without its `$`, too
 */
export function ApiODataOptions(
  sign: '$' | '',
  ...names: readonly (keyof typeof OPTIONS)[]
): MethodDecorator {
  return applyDecorators(
    ...names.map((name) => ApiQuery({ name: `${sign}${name}`, required: false, ...OPTIONS[name] })),
  );
}
