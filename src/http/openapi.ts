import { fastifySwagger } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { createJsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';

import { operationOf, type Operation } from '../access/operation.ts';
import { PERMISSIONS } from '../access/permission.ts';

const transform = createJsonSchemaTransform({});

/** Describes the routes as OpenAPI 3.1; what each needs is printed from the table that the guard asks. */
export async function describeRoutes(server: FastifyInstance, version: string): Promise<void> {
  await server.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Towpath',
        version,
        description:
          'One artifact, one path to production. Failures are RFC 9457 problems with `code`, `what` and `fix`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'A token of `towpath token create`' },
          session: { type: 'apiKey', in: 'cookie', name: 'towpath_session', description: 'The session of the page' },
        },
      },
    },
    transform: (input) => {
      const transformed = transform(input);
      const name = input.route.config?.operation;
      if (name === undefined) return transformed;
      return { ...transformed, schema: { ...transformed.schema, operationId: name, ...wordsOf(operationOf(name)) } };
    },
    transformObject: (input) => {
      const description = jsonSchemaTransformObject(input);
      polish(description as Description);
      return description;
    },
  });
}

function wordsOf(operation: Operation): Record<string, unknown> {
  if (operation.needs === 'public')
    return { summary: operation.summary, description: `Public. ${operation.because}`, security: [] };
  return {
    summary: operation.summary,
    description: `Needs \`${operation.needs}\`: ${PERMISSIONS[operation.needs]}`,
    security: [{ token: [] }, { session: [] }],
    'x-permission': operation.needs,
  };
}

/** The parts of the description that are put right after the schemas have been printed. */
interface Description {
  readonly components?: { schemas?: Record<string, unknown> };
  readonly paths?: Record<string, Record<string, Partial<Described>>>;
}

interface Described {
  readonly operationId: string;
  readonly responses: Record<string, { content?: Record<string, unknown>; description?: string }>;
}

/** Each schema comes twice, as question and as answer; ours are alike in both, and nothing refers to the former. */
function polish({ components, paths = {} }: Description): void {
  for (const name of Object.keys(components?.schemas ?? {}))
    if (name.endsWith('Input')) delete components?.schemas?.[name];
  for (const path of Object.values(paths)) for (const operation of Object.values(path)) nameMediaTypes(operation);
}

const WORDS: Readonly<Record<string, string>> = { '4XX': 'Refused; the problem says why', '5XX': 'Failed' };

const STREAMS: Readonly<Record<string, string>> = {
  'event.follow': 'Event',
  'log.follow': 'LogBatch',
  'output.follow': 'OutputBatch',
};

/** What the schemas cannot say: problems have a media type of their own, and some routes answer with a stream. */
function nameMediaTypes({ operationId = '', responses = {} }: Partial<Described>): void {
  for (const [status, response] of Object.entries(responses)) {
    response.description = WORDS[status] ?? 'Done';
    if (status.endsWith('XX'))
      response.content = { 'application/problem+json': response.content?.['application/json'] };
  }
  const item = STREAMS[operationId];
  if (item !== undefined)
    responses['200'] = {
      description: `Server-sent events; the data of each is a ${item}`,
      content: {
        'text/event-stream': { schema: { type: 'string' }, 'x-data': { $ref: `#/components/schemas/${item}` } },
      },
    };
}
