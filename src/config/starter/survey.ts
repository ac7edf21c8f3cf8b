/** What is known of a repository before Towpath has seen it: its files as git would take them in, and some texts. */
export interface Survey {
  /** The folder's own name. */
  readonly name: string;
  /** The branch that is merged to. */
  readonly branch: string;
  /** Those that are there besides. */
  readonly branches: readonly string[];
  readonly tags: readonly string[];
  /** Paths with `/`, relative to the root. */
  readonly files: readonly string[];
  /** Folders of other repositories. */
  readonly submodules: readonly string[];
  /** Files that Git LFS keeps: git itself has pointers to them. */
  readonly lfs: readonly string[];
  /** True where a Docker Engine answers on this machine. */
  readonly docker: boolean;
  /** @returns the text of one of the files, or null when it cannot be read */
  readonly read: (path: string) => string | null;
}

/** A folder of the repository that may be a service. */
export interface Place extends Survey {
  readonly has: ReadonlySet<string>;
  readonly folder: string;
  readonly name: string;
}

export interface StarterService {
  readonly name: string;
  readonly path: string;
  readonly build: StarterBuild;
  /** Null: it answers no requests, as far as its text tells. */
  readonly port: number | null;
  readonly health: string | null;
  /** The tests of the service, as a command that its image can run; `mount` where they lie apart from the service. */
  readonly test: { readonly run: string | readonly string[]; readonly mount?: string } | null;
}

export type StarterBuild =
  | {
      readonly kind: 'node';
      readonly start: string | readonly string[];
      readonly include: readonly string[];
      readonly exclude: readonly string[];
    }
  | { readonly kind: 'dockerfile'; readonly file: string; readonly from: readonly string[]; readonly isBase: boolean }
  | { readonly kind: 'serverless'; readonly exclude: readonly string[] };

export type Found =
  | { readonly service: StarterService; readonly notes: readonly string[] }
  | { readonly why: string | null };

export function textAt(place: Place, file: string): string | null {
  return isIn(place, file) ? place.read(pathIn(place.folder, file)) : null;
}

export function isIn({ has, folder }: Place, file: string): boolean {
  return has.has(pathIn(folder, file));
}

export function pathIn(folder: string, file: string): string {
  return folder === '.' ? file : `${folder}/${file}`;
}

export function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : '.';
}

export function isBelow(path: string, folder: string): boolean {
  return folder === '.' || path.startsWith(`${folder}/`);
}

const MOST_EXCLUDED = 40;

/**
 * What lies in a service and not in git itself: a build refuses it, so it is left out, and that is told.
 * @returns globs relative to the service
 */
export function foreignIn({ submodules, lfs, folder }: Pick<Place, 'submodules' | 'lfs' | 'folder'>): string[] {
  const inside = (path: string) => (folder === '.' ? path : path.slice(folder.length + 1));
  const [modules, pointers] = [submodules, lfs].map((paths) =>
    paths.filter((path) => isBelow(path, folder)).map(inside),
  );
  const few = (pointers ?? []).map(literally);
  const many = [...new Set((pointers ?? []).map((path) => literally(path).replace(/^.*?([^./]*)$/, '**/*.$1')))];
  return [...(modules ?? []).map(literally), ...(few.length > MOST_EXCLUDED ? many : few)].slice(0, 64);
}

function literally(path: string): string {
  return path.replaceAll(/[\\*?[\]{},]/g, String.raw`\$&`);
}

export function foreignNotes(excluded: readonly string[]): string[] {
  return excluded.length === 0
    ? []
    : [
        `its build leaves out ${excluded.join(', ')}: submodules and files of Git LFS are not in the repository itself.`,
      ];
}
