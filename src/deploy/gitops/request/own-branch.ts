import { slugOf } from '../../../lib/slug.ts';
import type { Target } from '../../driver.ts';
import { targetKey } from '../../rollout.ts';

/** What the names of all branches begin with that Towpath makes for a target: no other target's, nor another installation's, do. */
export function ownBranches(target: Target): string {
  return `towpath/${targetKey(target)}/`;
}

/** The branch of one promotion: the same for the same operation, so that its request is found again. */
export function ownBranch(target: Target, operation: string): string {
  return `${ownBranches(target)}${slugOf(operation, 60)}`;
}
