import { artifactByKey } from '../../artifact/artifact-store.ts';
import { recordBuildLost } from '../../artifact/lost-store.ts';
import { reportCommand } from '../../artifact/report.ts';
import { reportById, reportsInWork, unreportedArtifacts, waitingReports } from '../../artifact/report-store.ts';
import type { Problem } from '../../lib/error.ts';
import { followBuild } from '../begin-builds.ts';
import { endLog, settleReleases } from '../build.ts';
import { lookId } from '../create-flows.ts';
import type { Engine } from '../engine/engine.ts';
import type { House } from '../house.ts';
import { refuseReport } from '../report.ts';
import { attemptEach } from './attempt.ts';

/** Reports of other CIs that wait for their commit, or that nobody is at work on; and artifacts of which none came in time. */
export async function careForReports(house: House, engine: Pick<Engine, 'state'>): Promise<void> {
  const { store, log } = house;
  await attemptEach(log, await waitingReports(store.db), 'looking at a report', async ({ id, isOver, isSeen }) =>
    store.transaction(async (tx) => {
      if (isSeen) return house.starts.report(tx, id);
      const report = isOver ? await reportById(tx, id) : null;
      if (report?.state === 'waiting') await refuseReport(tx, report, commitUnknown(report.commit));
    }),
  );
  await attemptEach(log, await reportsInWork(store.db), 'settling a lost report', ({ id, runs }) =>
    settleLost(house, engine, id, runs),
  );
  await attemptEach(log, await unreportedArtifacts(store.db), 'ending the wait for a report', ({ key, attempt }) =>
    endWait(house, key, attempt),
  );
}

async function settleLost(house: House, engine: Pick<Engine, 'state'>, id: string, run: number): Promise<void> {
  const state = await engine.state(lookId(id, run));
  if (state.kind === 'queued' || state.kind === 'running') return;
  await house.store.transaction(async (tx) => {
    const report = await reportById(tx, id);
    if (report?.state !== 'checking' || report.runs !== run) return;
    if (state.kind === 'failed') await refuseReport(tx, report, state.problem);
    else await house.starts.report(tx, id);
  });
}

async function endWait(house: House, key: string, attempt: number): Promise<void> {
  const artifact = await artifactByKey(house.store.db, key);
  if (artifact === null) return;
  const problem = notReported({ service: artifact.service, commit: artifact.builtForCommit });
  const isOver = await house.store.transaction(async (tx) => {
    if (!(await recordBuildLost(tx, key, attempt, problem))) return false;
    for (const ended of await followBuild(house, tx, key)) await settleReleases(house, tx, ended);
    return true;
  });
  if (isOver) await endLog(house, key, problem);
}

function notReported(artifact: { readonly service: string; readonly commit: string }): Problem {
  return {
    code: 'artifact.not-reported',
    what: `no other CI reported "${artifact.service}" in time.`,
    fix: `Run ${reportCommand(artifact)} there; a late report is taken too. \`wait\` in the build section says how long it is waited for.`,
  };
}

function commitUnknown(commit: string): Problem {
  return {
    code: 'artifact.commit-unknown',
    what: `No branch and no tag of the project holds commit ${commit}, and it was waited for.`,
    fix: 'Push it before it is reported; `towpath project show` says when the repository was last polled.',
  };
}
