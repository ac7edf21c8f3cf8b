import type { Problem } from '../lib/error.ts';
import { json, type Sql } from '../store/database.ts';
import type { ProjectConfig } from './config.ts';

/** The configuration of the default branch's head takes force. Safe to repeat. */
export async function recordConfig(
  db: Sql,
  repositoryId: string,
  commit: string,
  config: ProjectConfig,
): Promise<void> {
  await db
    .updateTable('repository')
    .set({ config: json(config), config_commit: commit, config_error: null })
    .where('id', '=', repositoryId)
    .execute();
}

/** Whether pull requests are listed is the path's word, for every repository of the project. */
export async function recordWish(db: Sql, projectId: string, { environments }: ProjectConfig): Promise<void> {
  const wants = Object.values(environments).some(({ on }) => on.kind === 'pull-request');
  await db.updateTable('repository').set({ wants_pulls: wants }).where('project_id', '=', projectId).execute();
}

/** The last good configuration stays in force; the problem is shown until a head can be read again. */
export async function recordConfigProblem(db: Sql, repositoryId: string, problem: Problem): Promise<void> {
  await db
    .updateTable('repository')
    .set({ config_error: json(problem) })
    .where('id', '=', repositoryId)
    .execute();
}

/** Of which commit the configuration is that is in force for a repository; null when none was ever read. */
export async function configCommitOf(db: Sql, repositoryId: string): Promise<string | null> {
  const row = await db
    .selectFrom('repository')
    .select('config_commit')
    .where('id', '=', repositoryId)
    .executeTakeFirst();
  return row?.config_commit ?? null;
}

/** What the file could not say at first. */
type Later = 'users' | 'repositories' | 'identities' | 'servers' | 'backing' | 'notify' | 'yank';

export interface RulingConfig {
  readonly repositoryId: string;
  readonly defaultBranch: string;
  readonly config: ProjectConfig;
}

/** What rules a project's path: the configuration of its default branch's head, as last read without a problem; null also when it is ending. */
export async function rulingConfig(db: Sql, projectId: string): Promise<RulingConfig | null> {
  const row = await db
    .selectFrom('repository')
    .select(['id', 'config', 'default_branch'])
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .where('name', 'is', null)
    .orderBy('id')
    .executeTakeFirst();
  if (row === undefined || row.config === null) return null;
  // written by `recordConfig` alone; one that an earlier version has read lacks what came later
  const config = row.config as Omit<ProjectConfig, Later> & Partial<Pick<ProjectConfig, Later>>;
  return {
    repositoryId: row.id,
    defaultBranch: row.default_branch,
    config: {
      ...config,
      users: config.users ?? {},
      repositories: config.repositories ?? {},
      identities: config.identities ?? {},
      servers: config.servers ?? {},
      backing: config.backing ?? {},
      notify: config.notify ?? {},
      yank: config.yank ?? { delete: false },
    },
  };
}

/** What the default branches of a project's repositories say, as last read without a problem. */
export async function configsInForce(db: Sql, projectId: string): Promise<Pick<ProjectConfig, 'services'>[]> {
  const rows = await db
    .selectFrom('repository')
    .select('config')
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.flatMap(({ config }) => (config === null ? [] : [config as ProjectConfig])); // written by `recordConfig` alone
}
