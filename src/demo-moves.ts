import type { Stage } from './demo-stage.ts';

/** Types how Ana brings a change of the examples on a branch. @returns the commit */
export async function pushBranch(stage: Stage, branch: string, change: string, subject: string): Promise<string> {
  await stage.git('switch', '--quiet', '--create', branch);
  const commit = await commitChange(stage, change, subject);
  await stage.git('push', '--quiet', 'origin', branch);
  return commit;
}

export async function commitChange(stage: Stage, change: string, subject: string): Promise<string> {
  await stage.lay(change);
  await stage.git('add', '--all');
  await stage.git('commit', '--quiet', '--message', subject);
  return stage.shop.git('rev-parse', 'HEAD');
}

export async function mergeBranch(stage: Stage, branch: string): Promise<string> {
  await stage.git('switch', '--quiet', 'main');
  await stage.git('merge', '--quiet', '--no-ff', '--message', `Merge ${branch}`, branch);
  await stage.git('push', '--quiet');
  return stage.shop.git('rev-parse', 'HEAD');
}

export async function pushTag(stage: Stage, tag: string): Promise<void> {
  await stage.git('tag', tag);
  await stage.git('push', '--quiet', 'origin', tag);
}

export function approve(stage: Stage, managerToken: string): Promise<{ readonly code: number }> {
  return stage.towpath('approve', 'prod', '--token-file', managerToken, '--wait');
}
