import fc from 'fast-check';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../src/lib/testing/cases.ts';
import { type AnyRequest, anyRequest } from './testing/any-request.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer } from './testing/server.ts';
import { smallShop } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

let server: TestServer;
let repository: TestRepository;
const agent = new Agent({ connections: 8, headersTimeout: 30_000, bodyTimeout: 30_000 });
const project = 'besieged';
const known: Record<string, string> = { project, environment: 'qa', service: 'web' };

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  const commit = await repository.commit('One service', smallShop({ project }));
  await server.client.call('project.add', { body: { url: repository.url } });
  const story = storyOf(server, project);
  const { history } = await story.live('qa', commit);
  const { id, services } = await story.release(commit, 'ready');
  Object.assign(known, { release: id, commit, promotion: history[0]?.id, log: services[0]?.logId });
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
  await agent.close();
});

test('whatever is asked of the server is answered or refused, and is never its failure', async () => {
  const endsTheStory = ({ method, path }: AnyRequest): boolean =>
    method === 'DELETE' && path.startsWith(`/api/v1/projects/${project}?`);
  await fc.assert(
    fc.asyncProperty(
      anyRequest(known).filter((asked) => !endsTheStory(asked)),
      async (asked) => {
        const { status, text } = await ask(asked);
        expect(status, text).toBeLessThan(500);
        if (status >= 400 && asked.path.startsWith('/api/')) {
          const problem = JSON.parse(text) as Record<string, unknown>;
          expect([problem['code'], problem['what'], problem['fix']]).toEqual(
            Array.from({ length: 3 }, () => expect.stringMatching(/\S/) as string),
          );
        }
      },
    ),
    cases(400),
  );
  expect(await server.client.call('project.list')).toBeDefined();
  expect(server.output()).not.toContain('internal.error');
}, 1_800_000);

/** The first bytes of a stream are enough: it would go on for ever. */
async function ask({ method, path, body }: AnyRequest): Promise<{ status: number; text: string }> {
  const abort = new AbortController();
  const response = await request(`${server.client.server}${path}`, {
    method: method as 'GET',
    dispatcher: agent,
    signal: abort.signal,
    headers: {
      authorization: `Bearer ${server.token}`,
      ...(body === null ? {} : { 'content-type': 'application/json' }),
    },
    body,
  });
  if (String(response.headers['content-type']).startsWith('text/event-stream')) {
    abort.abort();
    await response.body.dump().catch(() => undefined);
    return { status: response.statusCode, text: '' };
  }
  return { status: response.statusCode, text: await response.body.text() };
}
