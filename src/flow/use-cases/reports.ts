import type { Identity } from '../../access/identity.ts';
import { otherCommit } from '../../access/identity-error.ts';
import { parseProvenance } from '../../artifact/provenance.ts';
import { conflictWith, type Report, reporterOf } from '../../artifact/report.ts';
import { claimReport, reportById, reportsOf } from '../../artifact/report-store.ts';
import { recordAudit } from '../../audit/audit-store.ts';
import { TowpathError } from '../../lib/error.ts';
import { wakeRepository } from '../../source/wake-store.ts';
import type { Tx } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import { foundBy, releasedArtifact } from '../find-reported.ts';
import type { House } from '../house.ts';
import type { ReportRequest, UseCases } from '../use-cases.ts';
import type { ReportView } from '../view/report.ts';
import { projectNamed } from './project-named.ts';

const SHOWN = 50;

export function reportCases(house: House): UseCases['reports'] {
  const { store } = house;
  return {
    async make(request, by, identity = null) {
      const own = identity?.commit ?? request.commit;
      if (own !== request.commit) throw otherCommit(request.commit, own);
      const { id: projectId } = await projectNamed(store.db, request.project);
      if (request.provenance !== undefined) parseProvenance(request.provenance);
      const id = await once(store, (tx) => make(house, tx, projectId, request, { by, identity }));
      return viewOf(request.project, await requireReport(house, projectId, id));
    },
    async show(project, id) {
      const { id: projectId } = await projectNamed(store.db, project);
      return viewOf(project, await requireReport(house, projectId, id));
    },
    async list(project) {
      const { id } = await projectNamed(store.db, project);
      return (await reportsOf(store.db, id, SHOWN)).map((report) => viewOf(project, report));
    },
  };
}

async function make(
  house: House,
  tx: Tx,
  projectId: string,
  request: ReportRequest,
  who: { readonly by: string; readonly identity: Identity | null },
): Promise<string> {
  const { service, commit, digest, image = null, provenance = null } = request;
  const { report, isNew } = await claimReport(tx, { projectId, service, commit, digest, image, provenance, ...who });
  if (report.digest !== digest) throw conflictWith({ ...report, by: reporterOf(report) }, { service, commit, digest });
  if (!isNew) return report.id;
  const artifact = await releasedArtifact(tx, report);
  if (artifact === null) await pollNow(house, tx, projectId);
  else await foundBy(house, tx, artifact, report);
  const { by, identity } = who;
  const detail = { service, commit, digest, image, report: report.id, ...(identity && { identity }) };
  await recordAudit(tx, { actor: by, action: 'artifact.report', subject: projectId, detail });
  await recordEvent(tx, { projectId, kind: 'report.made', subject: report.id, data: { ...detail, by } });
  await house.starts.report(tx, report.id);
  return report.id;
}

/** The CI may have been faster than the poll. */
async function pollNow({ clock }: House, tx: Tx, projectId: string): Promise<void> {
  const repositories = await tx
    .selectFrom('repository')
    .select('id')
    .where('project_id', '=', projectId)
    .orderBy('id')
    .execute();
  for (const { id } of repositories) await wakeRepository(tx, id, clock.now());
}

async function requireReport({ store }: House, projectId: string, id: string): Promise<Report> {
  const report = await reportById(store.db, id);
  if (report !== null && report.projectId === projectId) return report;
  throw new TowpathError({
    code: 'report.unknown',
    what: `This project has no report ${id}.`,
    fix: '`towpath artifact list` shows the newest ones.',
  });
}

function viewOf(project: string, report: Report): ReportView {
  const { id, service, commit, digest, image, state, by, identity, at, endedAt, commitUntil, key, problem } = report;
  return {
    id,
    project,
    service,
    commit,
    digest,
    image,
    state,
    by,
    identity,
    at: at.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
    until: state === 'waiting' ? commitUntil.toISOString() : null,
    key,
    problem,
  };
}
