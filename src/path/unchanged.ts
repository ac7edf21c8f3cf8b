import type { UnchangedFacts } from './facts.ts';

/** What is known of how the artifacts of a commit on a merged branch came to be. */
export interface MergeFacts {
  /** How the release is called: its short commit or tag. */
  readonly name: string;
  /** True for artifacts that its commit got later, when pins of base images moved. */
  readonly refreshed: boolean;
  /** The branch head that was merged (second parent), or null when the commit is no merge. */
  readonly branchHead: string | null;
  /** True while a push of what was merged is still being taken in. */
  readonly coming: boolean;
  readonly services: readonly {
    readonly service: string;
    /** True when an earlier commit of another line gave the same artifact. */
    readonly testedBefore: boolean;
    /** What differs between the artifact that the branch had and this one, in words; empty when the branch had none. */
    readonly differences: readonly string[];
  }[];
  /** Commits of the target branch that the merged branch lacked, newest first: `4f2a91c Fix the basket`. */
  readonly lacked: readonly string[];
}

/**
 * Did the merge give the very artifacts that the branch was tested with? A fast-forward, an up-to-date merge and a squash
 * with the same tree all do; a branch that lacked commits does not, and the answer names them.
 */
export function decideWhetherUnchanged(merge: MergeFacts): UnchangedFacts {
  const changed = merge.services.filter(({ testedBefore }) => !testedBefore);
  if (changed.length === 0) return { kind: 'same' };
  if (merge.coming)
    return { kind: 'unknown', what: `The branch that ${merge.name} came from is still being taken in.` };
  const services = changed.map(({ service }) => service).join(', ');
  const differences = changed.flatMap(({ service, differences }) =>
    differences.map((difference) => `${service}: ${difference}`),
  );
  if (merge.refreshed) {
    return {
      kind: 'differs',
      what: `Base images were refreshed, and no branch had the new artifacts of ${services}${differences.length === 0 ? '' : ` (${differences.join('; ')})`}.`,
      fix: 'Push a branch at this very commit, let it be tested there, then promote the release again.',
    };
  }
  if (merge.branchHead === null) {
    return {
      kind: 'differs',
      what: `${merge.name} brought new artifacts of ${services} that no branch had before.`,
      fix: 'Push the change to a branch first, let it be tested there, then merge.',
    };
  }
  const lacked =
    merge.lacked.length === 0
      ? ''
      : ` The branch lacked ${merge.lacked.slice(0, 5).join('; ')}${merge.lacked.length > 5 ? ` and ${merge.lacked.length - 5} more` : ''}.`;
  return {
    kind: 'differs',
    what: `${merge.name} did not give the artifacts its branch was tested with (${differences.length === 0 ? services : differences.join('; ')}).${lacked}`,
    fix: 'Merge the target branch into the branch, let it be tested, then merge again.',
  };
}
