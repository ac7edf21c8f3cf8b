import { z } from 'zod';

import type { Between, OpenedRequest, RequestForm } from '../request-form.ts';

const Pull = z.object({
  number: z.number().int(),
  html_url: z.string(),
  state: z.enum(['open', 'closed']),
  merged: z.boolean().nullish(),
});
const Found = z.array(Pull.extend({ head: z.object({ ref: z.string() }), base: z.object({ ref: z.string() }) }));

/** Gitea and Forgejo. @see docs.gitea.com, API: repository, pulls */
export const giteaRequests: RequestForm = {
  host: 'gitea',
  called: 'pull request',
  permission: 'a token with "repository": read and write',
  // the call that finds one by its branches takes no slash in the name of the first; the newest come first here
  find: (between, page) => ({
    method: 'GET',
    path: `/pulls?state=all&limit=50&page=${page}`,
    read: (answer) => {
      const found = Found.parse(answer);
      return { requests: found.filter((one) => isBetween(one, between)).map(opened), more: found.length > 0 };
    },
  }),
  open: ({ head, target }, { title, body }) => ({
    method: 'POST',
    path: '/pulls',
    body: { title, body, head, base: target },
    read,
  }),
  look: (number) => ({ method: 'GET', path: `/pulls/${number}`, read }),
  close: ({ number }) => ({ method: 'PATCH', path: `/pulls/${number}`, body: { state: 'closed' }, read }),
};

function isBetween({ head, base }: z.infer<typeof Found>[number], between: Between): boolean {
  return head.ref === between.head && base.ref === between.target;
}

function read(answer: unknown): OpenedRequest {
  return opened(Pull.parse(answer));
}

function opened({ number, html_url, state, merged }: z.infer<typeof Pull>): OpenedRequest {
  return { number, url: html_url, state: state === 'open' ? 'open' : merged === true ? 'merged' : 'closed' };
}
