import { z } from 'zod';

import { all, type OpenedRequest, type RequestForm } from '../request-form.ts';

const Pull = z.object({
  id: z.number().int(),
  version: z.number().int(),
  state: z.string(),
  links: z.object({ self: z.array(z.object({ href: z.string() })) }),
});
const Found = z.object({
  values: z.array(Pull.extend({ toRef: z.object({ id: z.string() }) })),
});

/** @see developer.atlassian.com, Bitbucket Data Center REST API: pull requests */
export const bitbucketDcRequests: RequestForm = {
  host: 'bitbucket-dc',
  called: 'pull request',
  permission: 'an HTTP access token with "Repository write"',
  find: ({ head, target }) => {
    const query = new URLSearchParams({
      at: `refs/heads/${head}`,
      direction: 'OUTGOING',
      state: 'ALL',
      order: 'NEWEST',
      limit: '100',
    });
    return {
      method: 'GET',
      path: `/pull-requests?${query.toString()}`,
      read: (answer) =>
        all(
          Found.parse(answer)
            .values.filter(({ toRef }) => toRef.id === `refs/heads/${target}`)
            .map(opened),
        ),
    };
  },
  open: ({ head, target, path }, { title, body }) => {
    const [project = '', slug = ''] = path.split('/').slice(-2);
    const repository = { slug, project: { key: project } };
    return {
      method: 'POST',
      path: '/pull-requests',
      body: {
        title,
        description: body,
        fromRef: { id: `refs/heads/${head}`, repository },
        toRef: { id: `refs/heads/${target}`, repository },
      },
      read,
    };
  },
  look: (number) => ({ method: 'GET', path: `/pull-requests/${number}`, read }),
  // it is refused when somebody changed it meanwhile
  close: ({ number, version = 0 }) => ({
    method: 'POST',
    path: `/pull-requests/${number}/decline?version=${version}`,
    body: { version },
    read,
  }),
};

function read(answer: unknown): OpenedRequest {
  return opened(Pull.parse(answer));
}

function opened({ id, version, state, links }: z.infer<typeof Pull>): OpenedRequest {
  const plain = state === 'OPEN' ? 'open' : state === 'MERGED' ? 'merged' : 'closed';
  return { number: id, version, url: links.self[0]?.href ?? '', state: plain };
}
