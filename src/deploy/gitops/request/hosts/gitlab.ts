import { z } from 'zod';

import { all, type OpenedRequest, type RequestForm } from '../request-form.ts';

const Merge = z.object({
  iid: z.number().int(),
  web_url: z.string(),
  state: z.enum(['opened', 'closed', 'locked', 'merged']),
});

/** @see docs.gitlab.com, REST API v4: merge requests */
export const gitlabRequests: RequestForm = {
  host: 'gitlab',
  called: 'merge request',
  permission: 'a project access token with the role Developer and the scope "api"',
  find: ({ head, target }) => {
    const query = new URLSearchParams({ source_branch: head, target_branch: target, state: 'all', per_page: '100' });
    return {
      method: 'GET',
      path: `/merge_requests?${query.toString()}`,
      read: (answer) => all(z.array(Merge).parse(answer).map(opened)),
    };
  },
  open: ({ head, target }, { title, body }) => ({
    method: 'POST',
    path: '/merge_requests',
    body: { source_branch: head, target_branch: target, title, description: body, remove_source_branch: true },
    read,
  }),
  look: (number) => ({ method: 'GET', path: `/merge_requests/${number}`, read }),
  close: ({ number }) => ({
    method: 'PUT',
    path: `/merge_requests/${number}`,
    body: { state_event: 'close' },
    read,
  }),
};

function read(answer: unknown): OpenedRequest {
  return opened(Merge.parse(answer));
}

/** It is `locked` while it is being merged. */
function opened({ iid, web_url, state }: z.infer<typeof Merge>): OpenedRequest {
  return { number: iid, url: web_url, state: state === 'opened' || state === 'locked' ? 'open' : state };
}
