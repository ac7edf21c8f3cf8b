import type { ImagePlace } from '../image-place.ts';
import { environmentOfBranch, environmentOfFile, knownEnvironment } from './environment-guess.ts';
import type { ImageField, LeftOut } from './image-fields.ts';
import { type KnownProject, matchServices } from './match-services.ts';

/** An image field of a branch. */
export interface SeenField extends ImageField {
  readonly branch: string;
}

/** A place of a service, with its file from the environment's folder. */
export interface ProposedPlace {
  readonly place: ImagePlace;
  /** What stands there now. */
  readonly image: string | null;
}

export interface ProposedEnvironment {
  readonly name: string;
  readonly branch: string;
  /** Null: the root. */
  readonly folder: string | null;
  readonly services: Readonly<Record<string, readonly ProposedPlace[]>>;
}

export interface Proposal {
  readonly environments: readonly ProposedEnvironment[];
  /** Nothing in the repository named an environment: the name is ours. */
  readonly isOnlyGuess: boolean;
  /** The fields that it is made of. */
  readonly taken: readonly SeenField[];
  readonly leftOut: readonly LeftOut[];
}

/** Where nothing says which environment it is. */
const ONLY = 'prod';

/**
 * Puts fields together into environments and services. What several environments share, and what is of no service, is left out.
 * @param mainBranch the one whose folders tell environments apart; another is an environment by its own name
 */
export function planProposal(all: readonly SeenField[], mainBranch: string, known: KnownProject | null): Proposal {
  const leftOut: LeftOut[] = [];
  const taken: SeenField[] = [];
  const seen = withoutCopies(all, mainBranch, leftOut);
  const leave = ({ place, branch }: SeenField, why: string): void => {
    leftOut.push({ where: whereOf(place, branch === mainBranch ? null : branch), why });
  };
  const names = known?.environments ?? [];
  const guessed = seen.map((field) => {
    const guess = environmentOf(field, mainBranch);
    return { field, environment: guess === null ? null : knownEnvironment(guess, names) };
  });
  const isOnlyGuess = guessed.every(({ environment }) => environment === null);
  const only = names.length === 1 ? (names[0] ?? ONLY) : knownEnvironment(ONLY, names);
  const services = matchServices(seen, known);
  const environments = new Map<string, { branch: string; services: Map<string, SeenField[]> }>();
  for (const { field, environment } of guessed) {
    const matched = services.get(field);
    const name = isOnlyGuess ? only : environment;
    if (matched === undefined || 'why' in matched) {
      leave(field, matched?.why ?? 'is of no service');
    } else if (name === null) {
      leave(
        field,
        `is shared by all environments: give each its own, such as \`images:\` in its overlay (${matched.service})`,
      );
    } else {
      const found = environments.get(name) ?? { branch: field.branch, services: new Map<string, SeenField[]>() };
      environments.set(name, found);
      if (found.branch !== field.branch) leave(field, `is of ${name}, which stands on the branch ${found.branch} too`);
      else {
        found.services.set(matched.service, [...(found.services.get(matched.service) ?? []), field]);
        taken.push(field);
      }
    }
  }
  const order = (name: string): number => (names.includes(name) ? names.indexOf(name) : names.length);
  return {
    environments: [...environments]
      .map(([name, found]) => environmentWith(name, found.branch, found.services))
      .toSorted((one, other) => order(one.name) - order(other.name)),
    isOnlyGuess,
    taken,
    leftOut,
  };
}

/** A branch that is an environment may have the folders of others too: copies, which nobody deploys from there. */
function withoutCopies(all: readonly SeenField[], mainBranch: string, leftOut: LeftOut[]): readonly SeenField[] {
  const isCopy = ({ branch, place }: SeenField): boolean => {
    const [ofBranch, ofFile] = [environmentOfBranch(branch), environmentOfFile(place.file)];
    return (
      branch !== mainBranch && ofBranch !== null && ofFile !== null && knownEnvironment(ofFile, [ofBranch]) !== ofBranch
    );
  };
  const copies = all.filter(isCopy);
  for (const branch of new Set(copies.map((field) => field.branch))) {
    const many = copies.filter((field) => field.branch === branch).length;
    leftOut.push({
      where: `${branch}: images (${many})`,
      why: 'are in folders of other environments than the branch is of',
    });
  }
  return all.filter((field) => !isCopy(field));
}

/** In words, for people. */
export function whereOf(place: ImagePlace, branch: string | null): string {
  const where = 'image' in place ? place.image : 'helm' in place ? place.helm : `images[name=${place.kustomize}]`;
  return `${branch === null ? '' : `${branch}: `}${place.file} ${where}`;
}

function environmentOf({ branch, place }: SeenField, mainBranch: string): string | null {
  const [ofFile, ofBranch] = [environmentOfFile(place.file), environmentOfBranch(branch)];
  return branch === mainBranch ? (ofFile ?? ofBranch) : ofBranch;
}

function environmentWith(
  name: string,
  branch: string,
  services: ReadonlyMap<string, readonly SeenField[]>,
): ProposedEnvironment {
  const folder = commonFolder([...services.values()].flat().map(({ place }) => place.file));
  const inside = (place: ImagePlace): ImagePlace =>
    folder === null ? place : { ...place, file: place.file.slice(folder.length + 1) };
  return {
    name,
    branch,
    folder,
    services: Object.fromEntries(
      [...services].map(([service, fields]) => [
        service,
        fields.map(({ place, image }) => ({ place: inside(place), image })),
      ]),
    ),
  };
}

function commonFolder(files: readonly string[]): string | null {
  const folders = files.map((file) => file.split('/').slice(0, -1));
  const [first = [], ...others] = folders;
  const end = first.findIndex((part, at) => others.some((folder) => folder[at] !== part));
  const common = end < 0 ? first : first.slice(0, end);
  return common.length === 0 ? null : common.join('/');
}
