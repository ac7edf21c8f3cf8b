export interface ProjectView {
  readonly id: string;
  readonly name: string;
  /** Since when it is ending: nothing is watched any more, and what runs is taken down. */
  readonly endingSince: string | null;
  readonly repositories: readonly {
    readonly id: string;
    /** As the home repository calls it; null for the home itself. */
    readonly name: string | null;
    readonly url: string;
    /** What kind of server it is on: `github`, or `plain` when that is not known. */
    readonly host: string;
    readonly defaultBranch: string;
    readonly polledAt: string | null;
    /** The reference to what it is reached with. */
    readonly credential: string | null;
    /** Where its webhook goes, and the reference to the secret that signs it; without one none is accepted. */
    readonly webhook: { readonly path: string; readonly secret: string | null };
    /** The reference to the token with which its host is told what becomes of commits, and what stands in the way. */
    readonly notices: { readonly token: string | null; readonly problem: ProblemView | null };
    readonly problem: ProblemView | null;
    readonly configProblem: ProblemView | null;
  }[];
}

export interface ProblemView {
  readonly code: string;
  readonly what: string;
  readonly fix: string;
}
