import { type Channel, isOver, isTold, told } from '../../channel.ts';
import { contextOf, type Notice } from '../../notice.ts';
import { lineWithin, nameWithin } from '../../text.ts';

const LENGTH = 255;

/**
 * Gitea and Forgejo: a status per commit and environment, for neither is told of deployments.
 * @see Gitea's own OpenAPI file: `repoCreateStatus`, `CreateStatusOption`
 */
export const gitea: Channel = {
  name: 'gitea',
  permission: 'a token with the scope "write:repository", of a user who may write to the repository',
  deployments: false,
  next(notice, shown) {
    if (isTold(notice, shown) || (isOver(notice) && notice.state !== 'cancelled')) return null;
    return {
      method: 'POST',
      path: `/statuses/${notice.commit}`,
      body: {
        state: stateOf(notice),
        context: nameWithin(contextOf(notice), LENGTH),
        description: lineWithin(notice.description, LENGTH),
        target_url: targetOf(notice),
      },
      learn: () => told(notice, shown),
    };
  },
};

function stateOf({ state }: Notice): 'pending' | 'success' | 'failure' | 'error' {
  return state === 'pending' || state === 'success' || state === 'failure' ? state : 'error';
}

/** What runs is more than a page about it. */
function targetOf(notice: Notice): string {
  return (notice.about === 'deployment' && notice.state === 'success' ? notice.environmentUrl : null) ?? notice.url;
}
