import type { SourceHost } from './host.ts';
import { bitbucketDc } from './hosts/bitbucket-dc/bitbucket-dc.ts';
import { bitbucket } from './hosts/bitbucket/bitbucket.ts';
import { gitea } from './hosts/gitea/gitea.ts';
import { github } from './hosts/github/github.ts';
import { gitlab } from './hosts/gitlab/gitlab.ts';
import { plain } from './hosts/plain/plain.ts';
import { placeOf } from './repository-place.ts';

/** The family of git hosts, most particular first: Gitea and Forgejo also send GitHub's headers, GitLab also Standard Webhooks'. */
export const hosts: readonly SourceHost[] = [gitea, gitlab, bitbucket, bitbucketDc, github, plain];

/**
 * What kind of server a repository is on.
 * @param named what somebody said it is; a name that is not known here counts as not said
 */
export function hostOf(url: string, named: string | null): SourceHost {
  const place = placeOf(url);
  const said = hosts.find(({ name }) => name === named);
  return said ?? hosts.find((host) => place !== null && host.serves(place.hostname)) ?? plain;
}
