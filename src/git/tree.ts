/** Modes that git gives to entries of a tree: file, executable, symbolic link, submodule, folder. */
export type GitMode = '100644' | '100755' | '120000' | '160000' | '040000';

/** An entry of a git tree. `path` is relative to whatever folder was listed and never begins with a slash. */
export interface TreeEntry {
  readonly mode: GitMode;
  readonly oid: string;
  readonly path: string;
}

/** What a builder sees of a service's source: entries of git, never files of a work tree. */
export interface SourceTree {
  /** Every file of the service (no folders), paths relative to the service, in byte order of the path. */
  readonly entries: readonly TreeEntry[];
  /** The bytes of a blob. Call `prefetch` first when many are read: each missing blob costs a round trip. */
  read(oid: string): Promise<Buffer>;
  prefetch(oids: readonly string[]): Promise<void>;
}
