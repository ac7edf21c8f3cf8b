import type { ProjectConfig } from '../config/config.ts';
import type { Mirror } from '../git/mirror.ts';
import { canonicalJson } from '../lib/digest.ts';
import { TowpathError } from '../lib/error.ts';
import { isOfPullsAlone } from '../release/release-store.ts';
import type { Sql } from '../store/database.ts';
import type { House } from './house.ts';
import { sourceOf } from './plan-artifacts.ts';
import { configAt } from './project-config.ts';

/**
 * A pull request whose head no branch here has or ever had comes from a fork: so every host can be told apart by refs alone.
 * One of a branch here is that branch's affair, which gets its own preview.
 */
export async function isOfAFork(db: Sql, mirror: Mirror, repositoryId: string, commit: string): Promise<boolean> {
  const seen = await db
    .selectFrom('ref_event')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('after_sha', '=', commit)
    .where('ref', 'like', 'refs/heads/%')
    .executeTakeFirst();
  return seen === undefined && !(await mirror.isOnBranch(commit));
}

/**
 * What a fork may have built here: no recipe of its own, for this machine's tools work with its caches and credentials; and
 * only where its checks run apart from this machine.
 * @throws TowpathError `source.not-isolated`, `source.fork-recipe`
 */
export async function admitStrangers(
  house: House,
  repositoryId: string,
  commit: string,
  config: ProjectConfig,
): Promise<void> {
  if (!(await house.checkToolsFor('', {})).runner.isolates) throw notIsolated();
  const { config_commit: head } = await house.store.db
    .selectFrom('repository')
    .select('config_commit')
    .where('id', '=', repositoryId)
    .executeTakeFirstOrThrow();
  const ours = head === null ? new Map<string, string>() : await recipesOf(house, repositoryId, head);
  for (const [service, recipe] of await recipesOf(house, repositoryId, commit, config)) {
    if (ours.get(service) === recipe) continue;
    throw new TowpathError({
      code: 'source.fork-recipe',
      what: `The commit comes from a fork, and the Dockerfile of "${service}", or what is said of it in towpath.yaml, is not that of the default branch.`,
      fix: 'Read it, and push the commit to a branch of this repository if it is good.',
    });
  }
}

/** @throws TowpathError `source.not-isolated` when this worker has nothing to run a fork's check in */
export async function requireIsolation(
  { store }: Pick<House, 'store'>,
  repositoryId: string,
  commit: string,
  runner: { readonly isolates: boolean },
): Promise<void> {
  if (!runner.isolates && (await isOfPullsAlone(store.db, repositoryId, commit))) throw notIsolated();
}

/** By service, of those that have one. */
async function recipesOf(
  house: House,
  repositoryId: string,
  commit: string,
  config?: ProjectConfig,
): Promise<Map<string, string>> {
  const { services } = config ?? (await configAt(house, repositoryId, commit));
  const recipes = new Map<string, string>();
  for (const [service, definition] of Object.entries(services)) {
    const { source, builder } = await sourceOf(house, repositoryId, commit, service, definition);
    const recipe = await builder.recipe?.(definition.build.definition, source);
    if (recipe !== undefined) recipes.set(service, canonicalJson(recipe));
  }
  return recipes;
}

function notIsolated(): TowpathError {
  return new TowpathError({
    code: 'source.not-isolated',
    what: 'The commit comes from a fork, and its checks would run beside the files of this machine.',
    fix: 'Install Docker, runc or bwrap on the worker (`towpath doctor`), and have the pull request pushed again.',
  });
}
