import type { ProjectConfig } from '../config/config.ts';
import {
  environmentNamed,
  type EnvironmentRow,
  type EnvironmentToSync,
  environmentsOf,
} from '../environment/environment-store.ts';
import { environmentOf, placeName } from '../environment/place.ts';
import { TowpathError } from '../lib/error.ts';
import type { PathEnvironment } from '../path/path.ts';
import { repositoryById, type Watched } from '../source/member-store.ts';
import type { Sql } from '../store/database.ts';

/** The path as a repository goes it: the same environments, each at the repository's own place. */
export function placesOf(config: ProjectConfig, member: string | null): Record<string, PathEnvironment> {
  return Object.fromEntries(
    config.path.flatMap((name) => {
      const definition = config.environments[name];
      if (definition === undefined) return [];
      return [
        [placeName(name, member), { ...definition, from: definition.from.map((from) => placeName(from, member)) }],
      ];
    }),
  );
}

/** More than a path has environments. */
const PLACES_OF_ONE = 10_000;

/** Those that are there without a branch. @param which the how manieth repository it is: the home's come first */
export function staticPlaces(config: ProjectConfig, { id, name: member }: Watched, which: number): EnvironmentToSync[] {
  return Object.entries(placesOf(config, member)).flatMap(([name, definition], i) =>
    definition.ephemeral === undefined
      ? [{ name, position: which * PLACES_OF_ONE + i, definition, repositoryId: id }]
      : [],
  );
}

/** The places that a name means: of an environment, or of a branch's previews, those of all repositories. In the order of ids. */
export async function placesIn(db: Sql, projectId: string, name: string): Promise<EnvironmentRow[]> {
  const named = await environmentNamed(db, projectId, name);
  if (!meansAll(name, named)) return [named];
  const environment = environmentOf(named.name);
  const all = (await environmentsOf(db, projectId)).filter((one) => environmentOf(one.name) === environment);
  return all.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

function meansAll(name: string, named: EnvironmentRow): boolean {
  return name === environmentOf(named.name) || name === named.previewBranch;
}

/**
 * Where a release goes that is wanted in an environment: the place of its repository.
 * @throws TowpathError `environment.other-repository` when the place of another repository is named
 */
export async function placeFor(
  db: Sql,
  projectId: string,
  name: string,
  release: { readonly repositoryId: string },
): Promise<EnvironmentRow> {
  const named = await environmentNamed(db, projectId, name);
  const { name: member, url } = await repositoryById(db, release.repositoryId);
  const place = placeName(environmentOf(named.name), member);
  if (place === named.name) return named;
  if (meansAll(name, named)) return environmentNamed(db, projectId, place);
  throw new TowpathError({
    code: 'environment.other-repository',
    what: `"${name}" runs the services of another repository than ${url}, which that release is of.`,
    fix: `Name ${place}.`,
  });
}
