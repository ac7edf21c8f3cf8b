import type { Channel } from './channel.ts';
import { NotifyError } from './notice.ts';
import { bitbucketDc } from './channels/bitbucket-dc/bitbucket-dc.ts';
import { bitbucket } from './channels/bitbucket/bitbucket.ts';
import { gitea } from './channels/gitea/gitea.ts';
import { github } from './channels/github/github.ts';
import { gitlab } from './channels/gitlab/gitlab.ts';

/** The family of channels: one for each git host that can be told something. */
export const channels: readonly Channel[] = [github, gitlab, gitea, bitbucket, bitbucketDc];

export function noChannel(): NotifyError {
  return new NotifyError({
    code: 'notify.no-channel',
    what: 'Of what kind the git server of the repository is, is not known, so it cannot be told anything.',
    fix: 'Say it: `towpath project set --host KIND`.',
  });
}

/** @param host a name of the family of git hosts @returns null for one that cannot be told anything */
export function channelOf(host: string): Channel | null {
  return channels.find(({ name }) => name === host) ?? null;
}
