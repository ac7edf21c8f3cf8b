import {
  artifactByKey,
  type BuiltRecord,
  claimArtifacts,
  recordBuilt,
  retryArtifact,
} from '../artifact/artifact-store.ts';
import { decideProvenance } from '../artifact/decide-provenance.ts';
import { parseProvenance, type Provenance } from '../artifact/provenance.ts';
import { imageOf, type Report, reporterOf } from '../artifact/report.ts';
import { awaitCommit, endReport, reportById } from '../artifact/report-store.ts';
import { hasCode, type Problem, problemOf, TowpathError } from '../lib/error.ts';
import { copyImage, copyReferrers, type Place, readContent } from '../registry/copy-image.ts';
import { parseReference } from '../registry/reference.ts';
import { awaitRemovals } from '../registry/removal-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { appendToLog } from '../store/log-store.ts';
import { followBuild } from './begin-builds.ts';
import { settleReleases } from './build.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import { conflict, findReported, type Found, releasedArtifact, type Reported } from './find-reported.ts';
import type { House } from './house.ts';
import { isTransient } from './transient.ts';

type Brought =
  | { readonly kind: 'here'; readonly image: string; readonly origin: Provenance | null; readonly record: BuiltRecord }
  | { readonly kind: 'refused'; readonly problem: Problem };

/**
 * What another CI built is looked for where it says, brought here whole, and from then on is the artifact of its key. A
 * report that is faster than the poll waits for its commit as a row.
 */
export function reportFlow(house: House) {
  return durable('report', async ({ reportId }: { reportId: string; run: number }) => {
    const retry = { attempts: 5, firstMs: 1000, when: isTransient };
    const found = await step('find', () => find(house, reportId), { retry });
    if (found.kind === 'ended') return;
    if (found.kind === 'unseen') {
      await transaction('await-commit', (tx) => waitForCommit(house, tx, reportId));
      return;
    }
    const brought =
      found.kind === 'refused'
        ? found
        : await step('bring', ({ signal }) => bring(house, reportId, found, signal), { retry }).catch(toRefusal);
    await transaction('accept', (tx) => settle(house, tx, reportId, found, brought));
  });
}

/** What was away for as long as we tried is told to the CI, which may report again. */
function toRefusal(error: unknown): Brought {
  if (!isTransient(error)) throw error;
  return { kind: 'refused', problem: problemOf(error) };
}

async function find(house: House, reportId: string): Promise<Found | { readonly kind: 'ended' }> {
  const report = await reportById(house.store.db, reportId);
  return report === null || report.endedAt !== null ? { kind: 'ended' } : findReported(house, report);
}

async function waitForCommit(house: House, tx: Tx, reportId: string): Promise<void> {
  await awaitCommit(tx, reportId);
  const report = await reportById(tx, reportId);
  // it may have been taken in since it was looked for
  if (report !== null && (await isTakenIn(tx, report))) await house.starts.report(tx, reportId);
}

async function isTakenIn(tx: Tx, report: Report): Promise<boolean> {
  try {
    return (await releasedArtifact(tx, report)) !== null;
  } catch (error) {
    if (hasCode(error, 'artifact.service-unknown')) return true; // which the next look says
    throw error;
  }
}

async function bring(house: House, reportId: string, found: Reported, signal: AbortSignal): Promise<Brought> {
  const report = await requireReport(house, reportId);
  try {
    const image = imageOf(found.expected, report.image);
    const { host, repository } = parseReference(image);
    const to: Place = { registry: house.registry, repository: found.repository };
    const from: Place = found.digest === null ? { registry: house.registryAt(host), repository } : to;
    await awaitRemovals(house.store, [found.repository]);
    const content = await readContent(from, report.digest, house.settings.platform);
    if (content === null) throw notThere(report, image);
    const verdict = decideProvenance({
      statements: report.provenance === null ? [] : parseProvenance(report.provenance),
      digests: [report.digest, ...content.manifests.map(({ digest }) => digest)],
      commit: report.commit,
      expected: found.expected.provenance,
    });
    if (verdict.kind === 'refused') return verdict;
    if (from !== to) {
      await copyImage(from, to, content, signal);
      for (const { digest } of content.manifests) await copyReferrers(from, to, digest, signal);
    }
    const provenance = { builder: 'external', commit: report.commit, report: report.id, by: report.by, image };
    const mediaType = content.manifests.at(-1)?.mediaType ?? '';
    const record = { digest: report.digest, mediaType, sizeBytes: content.sizeBytes, provenance };
    return { kind: 'here', image, origin: verdict.origin, record };
  } catch (error) {
    if (isTransient(error) || signal.aborted) throw error;
    return { kind: 'refused', problem: problemOf(error) };
  }
}

/** Of several reports of one key the first that comes here stands. */
async function settle(house: House, tx: Tx, reportId: string, found: Found, brought: Brought): Promise<void> {
  const report = await reportById(tx, reportId);
  if (report === null || report.endedAt !== null) return;
  if (brought.kind === 'refused' || found.kind !== 'found') {
    if (brought.kind === 'refused') await refuseReport(tx, report, brought.problem);
    return;
  }
  const { key, planned } = found;
  if (planned !== null) await claimArtifacts(tx, report.projectId, report.commit, [planned]);
  await retryArtifact(tx, key, report.commit); // one that was given up is healed by this
  const isFirst = await recordBuilt(tx, key, brought.record);
  const artifact = await artifactByKey(tx, key);
  if (artifact === null) throw new Error(`The artifact ${key} is gone.`);
  if (artifact.digest !== report.digest) {
    await refuseReport(tx, report, problemOf(await conflict(tx, artifact, report)));
    return;
  }
  if (isFirst) {
    await appendToLog(tx, artifact.logId, [sayOf(report, brought)]);
    await appendToLog(tx, artifact.logId, []);
    for (const ended of await followBuild(house, tx, key)) await settleReleases(house, tx, ended);
  }
  await endReport(tx, reportId, { kind: 'accepted', key, image: brought.image, origin: brought.origin });
  await recordEvent(tx, {
    projectId: report.projectId,
    kind: 'report.accepted',
    subject: reportId,
    data: { service: report.service, commit: report.commit, digest: report.digest, by: report.by },
  });
}

export async function refuseReport(tx: Tx, report: Report, problem: Problem): Promise<void> {
  if (!(await endReport(tx, report.id, { kind: 'refused', problem }))) return;
  await recordEvent(tx, {
    projectId: report.projectId,
    kind: 'report.refused',
    subject: report.id,
    data: { service: report.service, commit: report.commit, digest: report.digest, by: report.by, problem },
  });
}

function sayOf(report: Report, { image, origin }: Extract<Brought, { kind: 'here' }>): string {
  const built = origin === null ? 'no provenance' : `provenance of ${origin.builder ?? 'an unnamed builder'}`;
  const { commit, digest } = report;
  return `Reported by ${reporterOf(report)} for ${commit.slice(0, 7)}: ${digest} from ${image}, with ${built}.`;
}

async function requireReport({ store }: House, id: string): Promise<Report> {
  const report = await reportById(store.db, id);
  if (report !== null) return report;
  throw new Error(`The report ${id} is gone.`);
}

function notThere({ digest }: Report, image: string): TowpathError {
  return new TowpathError({
    code: 'artifact.image-missing',
    what: `${image} has no ${digest}.`,
    fix: 'Push the image before it is reported, and report the digest that the push printed; `docker buildx imagetools inspect` shows it.',
  });
}
