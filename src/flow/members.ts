import type { ProjectConfig } from '../config/config.ts';
import { ConfigError } from '../config/problem.ts';
import { parseRemoteUrl } from '../git/remote.ts';
import { TowpathError } from '../lib/error.ts';
import { type Member, repositoryById, serviceElsewhere, watchersOf } from '../source/member-store.ts';
import type { Sql } from '../store/database.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';

/**
 * The configuration as a commit has it, where it may say that in its repository.
 * @throws TowpathError `config.other-project`, `config.not-home`, `config.service-taken`, `config.base-elsewhere`, and as `configAt`
 */
export async function configOf(house: House, repositoryId: string, commit: string): Promise<ProjectConfig> {
  const { db } = house.store;
  const repository = await repositoryById(db, repositoryId);
  const config = await configAt(house, repositoryId, commit).catch(async (error: unknown) => {
    throw (await baseElsewhere(db, repository, error)) ?? error;
  });
  if (repository.name !== null) await requireMember(house, repository.projectId, config);
  const elsewhere = await serviceElsewhere(db, repository, Object.keys(config.services));
  if (elsewhere === null) return config;
  throw new TowpathError({
    code: 'config.service-taken',
    what: `The service "${elsewhere.service}" is in two repositories of the project: ${repository.url} and ${elsewhere.url}, which had it first.`,
    fix: 'Give one of them another name; or take it out there first, and then `towpath build` this commit.',
  });
}

/** A base service that the file misses, and that another repository of the project has. */
async function baseElsewhere(
  db: Sql,
  repository: { readonly projectId: string; readonly id: string },
  error: unknown,
): Promise<TowpathError | null> {
  if (!(error instanceof ConfigError)) return null;
  const missed = error.problems.flatMap(({ base }) => base ?? []);
  const found = await serviceElsewhere(db, repository, missed);
  if (found === null) return null;
  return new TowpathError({
    code: 'config.base-elsewhere',
    what: `"${found.service}" is a service of ${found.url}: what is built upon a base service stands in its repository.`,
    fix: 'Bring the base service here under another name, or name an image with its tag.',
  });
}

/** Invariant 15: environments, gates and who may do what are read from the head of the home's default branch alone. */
async function requireMember({ store }: House, projectId: string, config: ProjectConfig): Promise<void> {
  const { name: project } = await store.db
    .selectFrom('project')
    .select('name')
    .where('id', '=', projectId)
    .executeTakeFirstOrThrow();
  if (config.project !== project) {
    throw new TowpathError({
      code: 'config.other-project',
      what: `This repository belongs to the project "${project}", and its towpath.yaml says "${config.project}".`,
      fix: `Write \`project: ${project}\`, or take it out of \`repositories\` in the home repository.`,
    });
  }
  const { environments, roles, users, identities, notify, repositories, base } = config;
  const rules = {
    environments,
    roles,
    users,
    identities,
    notify,
    repositories,
    base: base.refreshEveryMs === null ? {} : base,
  };
  const said = Object.entries(rules).flatMap(([key, rule]) => (Object.keys(rule).length > 0 ? [key] : []));
  if (said.length === 0) return;
  throw new TowpathError({
    code: 'config.not-home',
    what: `The towpath.yaml of a member repository holds \`project\` and \`services\`; this one says ${said.map((key) => `\`${key}\``).join(', ')} too.`,
    fix: 'Say that in the home repository of the project: its path holds for the services of all.',
  });
}

/** The members that a home names, by their addresses. @throws TowpathError `config.repository-taken`; GitError for an address */
export async function membersOf(house: House, repositoryId: string, config: ProjectConfig): Promise<Member[]> {
  const members = Object.entries(config.repositories).map(([name, { url }]) => {
    const remote = house.remoteOf(url, () => Promise.resolve({ credential: null, host: null }));
    return { name, url: parseRemoteUrl(remote.url, remote.allow).href };
  });
  const { projectId } = await repositoryById(house.store.db, repositoryId);
  const urls = members.map(({ url }) => url);
  const [taken] = await watchersOf(house.store.db, projectId, urls);
  const twice = urls.find((url, i) => urls.indexOf(url) !== i);
  if (taken === undefined && twice === undefined) return members;
  throw new TowpathError({
    code: 'config.repository-taken',
    what:
      taken === undefined
        ? `\`repositories\` names ${twice} twice.`
        : `The project "${taken.project}" watches ${taken.url} already, and a repository belongs to one project, once.`,
    fix: 'Take it out of `repositories`, or end the other project with `towpath project remove`.',
  });
}
