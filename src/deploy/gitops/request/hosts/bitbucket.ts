import { z } from 'zod';

import { all, type OpenedRequest, type RequestForm } from '../request-form.ts';

const Pull = z.object({
  id: z.number().int(),
  state: z.string(),
  links: z.object({ html: z.object({ href: z.string() }) }),
});
const Found = z.object({ values: z.array(Pull) });

/** @see developer.atlassian.com, Bitbucket Cloud REST API: pullrequests; "Filter and sort API objects" */
export const bitbucketRequests: RequestForm = {
  host: 'bitbucket',
  called: 'pull request',
  permission: 'an access token with "Repositories" and "Pull requests": write',
  find: ({ head, target }) => {
    const query = new URLSearchParams({
      q: `source.branch.name = ${quoted(head)} AND destination.branch.name = ${quoted(target)}`,
      sort: '-id',
    });
    for (const state of ['OPEN', 'MERGED', 'DECLINED', 'SUPERSEDED']) query.append('state', state);
    return {
      method: 'GET',
      path: `/pullrequests?${query.toString()}`,
      read: (answer) => all(Found.parse(answer).values.map(opened)),
    };
  },
  open: ({ head, target }, { title, body }) => ({
    method: 'POST',
    path: '/pullrequests',
    body: {
      title,
      description: body,
      source: { branch: { name: head } },
      destination: { branch: { name: target } },
      close_source_branch: true,
    },
    read,
  }),
  look: (number) => ({ method: 'GET', path: `/pullrequests/${number}`, read }),
  close: ({ number }) => ({ method: 'POST', path: `/pullrequests/${number}/decline`, read }),
};

/** Names of branches hold neither quotes that end a text there nor backslashes, but they are data all the same. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, (sign) => `\\${sign}`)}"`;
}

function read(answer: unknown): OpenedRequest {
  return opened(Pull.parse(answer));
}

function opened({ id, state, links }: z.infer<typeof Pull>): OpenedRequest {
  const plain = state === 'OPEN' ? 'open' : state === 'MERGED' ? 'merged' : 'closed';
  return { number: id, url: links.html.href, state: plain };
}
