import type { Channel } from '../../channel.ts';
import { buildStatus } from '../bitbucket/build-status.ts';

/** @see developer.atlassian.com, Bitbucket Data Center REST: builds and deployments, "Store a build status" */
export const bitbucketDc: Channel = {
  name: 'bitbucket-dc',
  permission: 'an HTTP access token of the repository with "Repository write"',
  deployments: false,
  next: (notice, shown) =>
    buildStatus(notice, shown, {
      path: (commit) => `/commits/${commit}/builds`,
      keyLength: 255,
      urlLength: 450,
      cancelled: 'CANCELLED',
      ref: (ref) => ({ ref }),
    }),
};
