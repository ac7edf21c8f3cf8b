import { bitbucketDcRequests } from './hosts/bitbucket-dc.ts';
import { bitbucketRequests } from './hosts/bitbucket.ts';
import { giteaRequests } from './hosts/gitea.ts';
import { githubRequests } from './hosts/github.ts';
import { gitlabRequests } from './hosts/gitlab.ts';
import type { RequestForm } from './request-form.ts';

/** The hosts at which Towpath opens requests. */
export const requestForms: readonly RequestForm[] = [
  githubRequests,
  gitlabRequests,
  giteaRequests,
  bitbucketRequests,
  bitbucketDcRequests,
];
