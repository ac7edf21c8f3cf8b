import { checkTitle, type CheckType } from '../../check/check-type.ts';
import type { Digest } from '../../lib/digest.ts';
import type { ProblemView } from './project.ts';
import type { PromotionView } from './promotion.ts';
import type { ReleaseBrief } from './release.ts';
import type { UnreadyRelease } from './unready.ts';

export interface MatrixView {
  readonly at: string;
  readonly projects: readonly {
    readonly name: string;
    readonly services: readonly string[];
    /** In the order of the path; previews last. */
    readonly environments: readonly MatrixEnvironment[];
    /** What was pushed and can run nowhere, yet or ever; the newest first. */
    readonly unready: readonly UnreadyRelease[];
    /** What stands in the way of telling its git host what becomes of commits. */
    readonly untold: ProblemView | null;
    /** What stands in the way of seeing what is pushed: no news is then no good news. */
    readonly unseen: ProblemView | null;
  }[];
}

export interface MatrixEnvironment extends EnvironmentView {
  readonly cells: readonly MatrixCell[];
}

export interface MatrixCell {
  readonly service: string;
  readonly digest: Digest;
  readonly releaseId: string;
  readonly url: string | null;
  readonly since: string;
  /** False for a function that no driver here runs: it was promoted by its digest alone. */
  readonly runs: boolean;
  /** False for what stands committed in a manifest repository, or does not run here: nobody of us saw it run. */
  readonly observed: boolean;
  /** True when it is newer than what the next environment of the path runs. */
  readonly ahead: boolean;
}

export interface HoldView {
  readonly reason: string;
  readonly by: string;
  readonly since: string;
}

export interface EnvironmentView {
  readonly id: string;
  readonly name: string;
  readonly kind: 'static' | 'preview';
  readonly branch: string | null;
  /** Of the path, or of previews: where the places of several repositories have this in common, it is one column. */
  readonly environment: string;
  /** The member repository whose releases run there; null for the home. */
  readonly repository: string | null;
  readonly expiresAt: string | null;
  /** False when the towpath.yaml of the default branch does not name it any more. */
  readonly named: boolean;
  /** Since when it is being stopped; null when it is not, or not any more. */
  readonly stopAskedAt: string | null;
  /** Why what should not run there any more could not be ended at the last try. */
  readonly endProblem: ProblemView | null;
  readonly hold: HoldView | null;
  readonly current:
    | (ReleaseBrief & {
        readonly since: string;
        readonly yank: { readonly reason: string; readonly by: string; readonly at: string } | null;
      })
    | null;
  /** Checks that are gates on the path, and whose latest answer about what runs here is not a pass. */
  readonly revoked: readonly RevokedView[];
  /** What is on its way in, the newest first. */
  readonly open: readonly PromotionView[];
  /** The newest ended one that did not go live, while nothing newer did. */
  readonly lastTrouble: PromotionView | null;
  /** What runs there or can be rolled back to, and is gone from the registry. */
  readonly missing: readonly MissingImageView[];
  readonly canRollBack: { readonly to: ReleaseBrief } | { readonly to: null; readonly reason: string };
}

export interface RevokedView {
  readonly check: string;
  readonly type: CheckType | null;
  readonly service: string;
  readonly verdict: 'failed' | 'error';
  readonly summary: string;
  readonly evidence: string;
  readonly logId: string | null;
  readonly since: string;
}

/** What speaks against what runs there, or keeps it from ending, a sentence each, and what to do. */
export function troublesOf({
  name,
  endProblem,
  current,
  revoked,
  canRollBack,
}: Pick<EnvironmentView, 'name' | 'endProblem' | 'current' | 'revoked' | 'canRollBack'>): {
  gate: string;
  what: string;
  fix: string;
}[] {
  const ending = endProblem === null ? [] : [{ gate: 'end', what: endProblem.what, fix: endProblem.fix }];
  if (current === null) return ending;
  const { yank } = current;
  const back =
    canRollBack.to === null
      ? `It cannot be rolled back: ${canRollBack.reason}`
      : `\`towpath rollback ${name}\` brings #${canRollBack.to.number} back.`;
  return [
    ...ending,
    ...(yank === null
      ? []
      : [
          {
            gate: 'yank',
            what: `#${current.number}, which runs here, is yanked by ${yank.by}: ${yank.reason}`,
            fix: `${back} \`towpath unyank #${current.number}\` lifts it.`,
          },
        ]),
    ...revoked.map(({ check, type, service, verdict, summary, since }) => ({
      gate: check,
      what: `${checkTitle(check, type)} of ${service} ${verdict === 'failed' ? 'failed' : 'could not be answered'} for #${current.number}, which runs here, at ${since}: ${summary}`,
      fix: `${back} \`towpath test #${current.number} ${check}\` asks it again.`,
    })),
  ];
}

export interface MissingImageView {
  readonly release: number;
  readonly repository: string;
  readonly digest: Digest;
  readonly since: string;
}

/** One sentence on it. */
export function missingText({ release, repository, digest, since }: MissingImageView): string {
  return `the image of #${release} is gone from the registry, or damaged: ${repository}@${digest} (since ${since}).`;
}

export interface EnvironmentDetail extends EnvironmentView {
  readonly trigger: string;
  readonly from: readonly string[];
  readonly gates: readonly string[];
  readonly driver: string;
  readonly services: readonly {
    readonly service: string;
    readonly digest: Digest;
    readonly url: string | null;
    readonly since: string;
    readonly runs: boolean;
    readonly observed: boolean;
  }[];
  readonly history: readonly PromotionView[];
}
