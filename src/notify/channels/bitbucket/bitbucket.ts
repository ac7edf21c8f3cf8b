import type { Channel } from '../../channel.ts';
import { buildStatus } from './build-status.ts';

/** @see developer.atlassian.com, Bitbucket Cloud REST: commit statuses, "Create a build status for a commit" */
export const bitbucket: Channel = {
  name: 'bitbucket',
  permission: 'a repository access token with "Repositories: write"',
  deployments: false,
  next: (notice, shown) =>
    buildStatus(notice, shown, {
      path: (commit) => `/commit/${commit}/statuses/build`,
      keyLength: 40,
      urlLength: 1_000,
      cancelled: 'STOPPED',
      ref: (ref) => ({ refname: ref.replace(/^refs\/(?:heads|tags)\//, '') }),
    }),
};
