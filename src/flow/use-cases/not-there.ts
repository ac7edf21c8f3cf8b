import { rulingConfig } from '../../config/config-store.ts';
import type { EnvironmentRow } from '../../environment/environment-store.ts';
import { planRoutes } from '../../path/triggers.ts';
import { nameOf, type Release, reportsWanted } from '../../release/release.ts';
import { listReleases, namesOf, requireRelease } from '../../release/release-store.ts';
import { repositoryById } from '../../source/member-store.ts';
import type { Sql } from '../../store/database.ts';
import { definitionOf } from '../gather.ts';
import type { ReasonView } from '../view/promotion.ts';

const LOOK_BACK = 20;

/**
 * Why the newest release that an environment would take by itself never asked for it: it has no artifacts, yet or at all.
 * No promotion tells that, for none is made before there is something to promote.
 */
export async function notThere(db: Sql, environment: EnvironmentRow): Promise<ReasonView[]> {
  const ruling = await rulingConfig(db, environment.projectId);
  if (ruling === null) return [];
  const { on } = definitionOf(environment);
  const { id: repositoryId, defaultBranch } = await repositoryById(db, environment.repositoryId ?? ruling.repositoryId);
  if (on.kind === 'merge' && !(await wasPushed(db, repositoryId, on.pattern))) {
    const what = `No push to ${on.pattern} was seen, and only a merge there brings something in by itself. The default branch is ${defaultBranch}.`;
    const fix = `Push ${on.pattern}, or write \`merge: ${defaultBranch}\` in towpath.yaml.`;
    return [{ gate: 'trigger', what, fix, until: null }];
  }
  const releases = (await listReleases(db, environment.projectId, LOOK_BACK)).filter(
    (release) => release.repositoryId === repositoryId,
  );
  const names = await namesOf(
    db,
    releases.map(({ id }) => id),
  );
  const definitions = { [environment.name]: definitionOf(environment) };
  const isWanted = (ref: string): boolean =>
    planRoutes(definitions, ref, defaultBranch).some(
      ({ previewBranch }) => previewBranch === undefined || previewBranch === environment.previewBranch,
    );
  const wanted = releases.find(({ id }) => names.get(id)?.some(isWanted));
  if (wanted === undefined || wanted.state === 'ready') return [];
  const newest = await requireRelease(db, wanted.id);
  return [reasonOf(newest, nameOf(newest, names.get(newest.id) ?? []))];
}

function instantOf(ms: number): string {
  return new Date(ms).toISOString();
}

async function wasPushed(db: Sql, repositoryId: string, branch: string): Promise<boolean> {
  const row = await db
    .selectFrom('ref')
    .select('name')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', `refs/heads/${branch}`)
    .executeTakeFirst();
  return row !== undefined;
}

function reasonOf(release: Release, name: string): ReasonView {
  const { state, problem } = release;
  if (problem === null) {
    const [wanted] = reportsWanted(release.services);
    const what = `${name} (#${release.number}) is being built.${wanted === undefined ? '' : ` ${wanted.what}`}`;
    return { gate: 'artifact', what, fix: null, until: wanted === undefined ? null : instantOf(wanted.untilMs) };
  }
  const verb = state === 'building' ? 'waits' : 'cannot run';
  return {
    gate: 'artifact',
    what: `${name} (#${release.number}) ${verb}: ${problem.what}`,
    fix: problem.fix,
    until: null,
  };
}
