import { environmentsOf } from '../../environment/environment-store.ts';
import { untoldOf } from '../../notify/notice-store.ts';
import { groupBy } from '../../lib/group.ts';
import { type ReleaseService, reportsWanted } from '../../release/release.ts';
import { listReleases, servicesOf } from '../../release/release-store.ts';
import { unseenOf } from '../../source/member-store.ts';
import type { House } from '../house.ts';
import type { MatrixView } from '../view/environment.ts';
import type { ProblemView } from '../view/project.ts';
import { unreadyOf } from '../view/unready.ts';
import { projectNamed } from './project-named.ts';
import { presentIn } from './by-reference.ts';
import { briefOf, briefsOf, environmentViews } from './views.ts';

/** Of so many releases of a project it is said whether they can run. */
const NEWEST = 10;

/** Services x environments. "Ahead" is read from releases' numbers: is there something newer here than in the next environment? */
export async function matrix({ store, clock }: House, project?: string): Promise<MatrixView> {
  const { db } = store;
  const projects =
    project === undefined
      ? await db.selectFrom('project').select(['id', 'name']).where('removed_at', 'is', null).orderBy('name').execute()
      : [await projectNamed(db, project)];
  return {
    at: new Date(clock.now()).toISOString(),
    projects: await Promise.all(
      projects.map(async ({ id, name }) => {
        const rows = await environmentsOf(db, id);
        const ordered = [
          ...rows.filter(({ previewBranch }) => previewBranch === null),
          ...rows.filter(({ previewBranch }) => previewBranch !== null),
        ];
        const views = await environmentViews(db, ordered);
        const cells = groupBy(
          await presentIn(
            db,
            ordered.map(({ id }) => id),
          ),
          ({ environmentId }) => environmentId,
        );
        const services = [...new Set([...cells.values()].flat().map(({ service }) => service))].toSorted();
        const newest = await listReleases(db, id, NEWEST);
        const briefs = await briefsOf(
          db,
          newest.map((release) => release.id),
        );
        const parts = await servicesOf(
          db,
          newest.filter(({ state }) => state === 'building').map((release) => release.id),
        );
        return {
          name,
          services,
          unready: unreadyOf(
            [...briefs.values()].map(({ release: { state, problem, mixed }, ...brief }) => ({
              ...briefOf(brief),
              state,
              problem: problem ?? reportWanted(parts.get(brief.id) ?? []),
              mixed,
            })),
          ),
          untold: await untoldOf(db, id),
          unseen: await unseenOf(db, id),
          environments: views.map((view, index) => {
            const after = views[index + 1];
            const next = view.kind === 'static' && after?.repository === view.repository ? after : undefined;
            const beyond = next?.kind === 'static' ? (cells.get(next.id) ?? []) : [];
            return {
              ...view,
              cells: (cells.get(view.id) ?? []).map(({ service, digest, releaseId, url, since, runs, observed }) => ({
                service,
                digest,
                releaseId,
                url,
                since,
                runs,
                observed,
                ahead:
                  next?.kind === 'static' &&
                  (view.current?.number ?? 0) > (next.current?.number ?? 0) &&
                  beyond.find((cell) => cell.service === service)?.digest !== digest,
              })),
            };
          }),
        };
      }),
    ),
  };
}

/** What another CI builds is not "being built": nobody here works on it. */
function reportWanted(services: readonly ReleaseService[]): ProblemView | null {
  const [wanted] = reportsWanted(services);
  if (wanted === undefined) return null;
  const until = new Date(wanted.untilMs).toISOString();
  return { code: 'release.report-wanted', what: wanted.what, fix: `Report it until ${until}.` };
}
