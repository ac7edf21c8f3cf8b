/** What a sweep of the registry did, or would do. */
export interface SweepView {
  readonly dryRun: boolean;
  readonly registry: string;
  /** What nobody has used since then goes, unless something needs it. */
  readonly before: string;
  /** Artifacts that were given up now, or would be: their images go once nobody has used them for a day. */
  readonly givesUp: readonly GivenUpArtifact[];
  readonly goes: readonly SweptManifest[];
  readonly stays: readonly SweptManifest[];
  /** What was removed on disk; null for a dry run. */
  readonly removed: { readonly files: number; readonly bytes: number } | null;
}

export interface GivenUpArtifact {
  readonly project: string;
  readonly service: string;
  readonly digest: string;
  /** The number of the newest release with it. */
  readonly release: number;
  readonly reasons: readonly string[];
}

export interface SweptManifest {
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
  /** Of its config and layers; others may share them. */
  readonly bytes: number;
  readonly reasons: readonly string[];
}
