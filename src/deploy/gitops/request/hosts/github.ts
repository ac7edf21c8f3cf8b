import { z } from 'zod';

import { all, type OpenedRequest, type RequestForm } from '../request-form.ts';

const Pull = z.object({
  number: z.number().int(),
  html_url: z.string(),
  state: z.enum(['open', 'closed']),
  merged_at: z.string().nullish(),
});

/** @see docs.github.com, REST API version 2022-11-28: pulls */
export const githubRequests: RequestForm = {
  host: 'github',
  called: 'pull request',
  permission: 'a fine-grained token (or an App) with "Contents" and "Pull requests": read and write',
  find: ({ head, target, path }) => {
    const [owner = ''] = path.split('/');
    const query = new URLSearchParams({ head: `${owner}:${head}`, base: target, state: 'all', per_page: '100' });
    return {
      method: 'GET',
      path: `/pulls?${query.toString()}`,
      read: (answer) => all(z.array(Pull).parse(answer).map(opened)),
    };
  },
  open: ({ head, target }, { title, body }) => ({
    method: 'POST',
    path: '/pulls',
    body: { title, body, head, base: target },
    read,
  }),
  look: (number) => ({ method: 'GET', path: `/pulls/${number}`, read }),
  close: ({ number }) => ({ method: 'PATCH', path: `/pulls/${number}`, body: { state: 'closed' }, read }),
};

function read(answer: unknown): OpenedRequest {
  return opened(Pull.parse(answer));
}

/** A list does not say `merged`, but when. */
function opened({ number, html_url, state, merged_at }: z.infer<typeof Pull>): OpenedRequest {
  return { number, url: html_url, state: state === 'open' ? 'open' : merged_at ? 'merged' : 'closed' };
}
