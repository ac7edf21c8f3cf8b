import { artifactByKey, inputsOf } from '../../artifact/artifact-store.ts';
import { type StatedImage, wantStatement } from '../../attestation/attestation-store.ts';
import { MAX_BUNDLE_BYTES } from '../../attestation/bundle.ts';
import {
  approvalClaim,
  buildClaim,
  decisionClaim,
  packagesClaim,
  testClaim,
  yankClaim,
} from '../../attestation/predicates.ts';
import type { Evidence } from '../../check/evidence.ts';
import { recordEvidence } from '../../check/evidence-store.ts';
import { readContent } from '../../check/kept-store.ts';
import { BOM } from '../../check/kinds/scan/sbom/write.ts';
import { environmentById } from '../../environment/environment-store.ts';
import { type Digest, sha256 } from '../../lib/digest.ts';
import type { Approval } from '../../path/approval-store.ts';
import type { Gate } from '../../path/gate.ts';
import type { PathEnvironment } from '../../path/path.ts';
import type { Promotion } from '../../path/promotion-store.ts';
import type { Release } from '../../release/release.ts';
import { releaseById } from '../../release/release-store.ts';
import type { Sql, Tx } from '../../store/database.ts';

/*
 * What is stated of facts: each in the transaction of its fact, so that no kill parts them. Signing and delivering come
 * later, and nothing waits for them.
 */

/** A bundle that is too large to be read again would break the chain: in base64 this is two thirds of the largest. */
const MOST_BOM_BYTES = MAX_BUNDLE_BYTES / 2;

/** Keeps an answer for good, and states it; an `error` too, for it takes back the answer before. Safe to repeat. */
export async function recordAnswer(tx: Tx, evidence: Evidence): Promise<void> {
  await recordEvidence(tx, evidence);
  const { verdict, tests = null, scan } = evidence.answer;
  const { at } = await tx.selectFrom('evidence').select('at').where('id', '=', evidence.id).executeTakeFirstOrThrow();
  const project = await projectName(tx, evidence.projectId);
  const release = evidence.releaseId === null ? null : await releaseById(tx, evidence.releaseId);
  const environment = evidence.environmentId === null ? null : await environmentById(tx, evidence.environmentId);
  for (const [service, digest] of Object.entries(evidence.digests)) {
    const image = { repository: `${project}/${service}`, digest };
    await statePackages(tx, evidence, image);
    await wantStatement(tx, {
      projectId: evidence.projectId,
      fact: evidence.id,
      images: [image],
      claim: testClaim({
        check: evidence.check,
        verdict,
        question: evidence.question,
        project,
        service,
        environment: environment?.name ?? null,
        commit: release?.commit ?? null,
        tests: tests && { passed: tests.passed, failed: tests.failed, skipped: tests.skipped },
        failedTests: tests?.failures.map(({ name }) => name) ?? [],
        until: scan?.untilMs === undefined ? null : new Date(scan.untilMs),
        at,
      }),
    });
  }
}

/** What a scan read from the image: of each list once, however often it is scanned. Safe to repeat. */
async function statePackages(
  tx: Tx,
  { projectId, answer: { scan, kept } }: Evidence,
  image: StatedImage,
): Promise<void> {
  const list = scan === undefined ? undefined : kept?.files.find(({ path }) => path === BOM);
  if (list === undefined || list.size > MOST_BOM_BYTES) return;
  const parts: Buffer[] = [];
  for await (const part of readContent(tx, list.digest)) parts.push(part);
  if (sha256(Buffer.concat(parts)) !== list.digest) return; // it is kept no more
  const bom = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>;
  await wantStatement(tx, { projectId, fact: list.digest, images: [image], claim: packagesClaim(bom) });
}

/** What was built here; of what another CI built its own provenance speaks. */
export async function stateBuild(tx: Tx, key: string): Promise<void> {
  const artifact = await artifactByKey(tx, key);
  if (artifact === null || artifact.digest === null) return;
  const { service, builder, builtForCommit, logId } = artifact;
  const row = await tx
    .selectFrom('artifact')
    .select(['requested_at', 'finished_at', 'provenance'])
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  const source = await tx
    .selectFrom('release_service')
    .innerJoin('release', 'release.id', 'release_service.release_id')
    .innerJoin('repository', 'repository.id', 'release.repository_id')
    .select('repository.url')
    .where('artifact_key', '=', key)
    .where('release_service.commit_sha', '=', builtForCommit)
    .executeTakeFirst();
  const { pins, parents } = inputsOf(artifact);
  const { isolation = null } = row.provenance as { readonly isolation?: string | null };
  await wantStatement(tx, {
    projectId: artifact.projectId,
    fact: `${key} ${artifact.attempt}`,
    images: [{ repository: artifact.repository, digest: artifact.digest }],
    claim: buildClaim({
      builder,
      repository: withoutUser(source?.url ?? ''),
      commit: builtForCommit,
      project: await projectName(tx, artifact.projectId),
      service,
      key,
      pins,
      parents,
      isolation,
      log: logId,
      beganAt: row.requested_at,
      at: row.finished_at ?? row.requested_at,
    }),
  });
}

/** What became of a promotion: that it went live, or what refused it. Other ends say nothing of the images. */
export async function stateDecision(tx: Tx, promotion: Promotion): Promise<void> {
  const { state, detail, kind } = promotion;
  if (state !== 'live' && state !== 'refused') return;
  const { images, environment, ...who } = await placeOf(tx, promotion);
  const { gates } = environment.definition as PathEnvironment;
  const refusing = detail.reasons?.map(({ gate }) => gate) ?? [];
  await wantStatement(tx, {
    projectId: promotion.projectId,
    fact: promotion.id,
    images,
    claim: decisionClaim({
      ...who,
      verdict: state,
      kind,
      environment: environment.name,
      path: await pathCommit(tx, promotion.projectId),
      gates: [...new Set(state === 'live' ? gates.map(nameOf) : refusing)],
      at: promotion.endedAt ?? promotion.changedAt,
    }),
  });
}

/** One voice about a promotion. Said again it is another fact: the last word counts. */
export async function stateApproval(tx: Tx, promotion: Promotion, voice: Approval): Promise<void> {
  const { images, environment, ...who } = await placeOf(tx, promotion);
  await wantStatement(tx, {
    projectId: promotion.projectId,
    fact: `${promotion.id} ${voice.by} ${voice.at.toISOString()}`,
    images,
    claim: approvalClaim({ ...who, ...voice, environment: environment.name }),
  });
}

/** That a release was barred, or that the bar was lifted. */
export async function stateYank(
  tx: Tx,
  release: Release,
  yank: { readonly state: 'yanked' | 'unyanked'; readonly reason: string | null; readonly by: string },
  at: Date,
): Promise<void> {
  await wantStatement(tx, {
    projectId: release.projectId,
    fact: `${release.id} ${yank.state} ${at.toISOString()}`,
    images: imagesOf(release),
    claim: yankClaim({
      ...yank,
      project: await projectName(tx, release.projectId),
      release: release.number,
      commit: release.commit,
      fingerprint: release.fingerprint,
      at,
    }),
  });
}

async function placeOf(tx: Tx, { id, projectId, releaseId, environmentId }: Promotion) {
  const release = await releaseById(tx, releaseId);
  return {
    promotion: id,
    project: await projectName(tx, projectId),
    environment: await environmentById(tx, environmentId),
    release: release?.number ?? 0,
    commit: release?.commit ?? '',
    fingerprint: release?.fingerprint ?? '',
    images: release === null ? [] : imagesOf(release),
  };
}

/** What of it runs. */
export function imagesOf(release: Release): { service: string; repository: string; digest: Digest }[] {
  return release.services.flatMap(({ isBase, service, repository, digest }) =>
    isBase || digest === null ? [] : [{ service, repository, digest }],
  );
}

function nameOf(gate: Gate): string {
  return gate.kind === 'check' ? gate.name : gate.kind;
}

export async function projectName(db: Sql, id: string): Promise<string> {
  return (await db.selectFrom('project').select('name').where('id', '=', id).executeTakeFirstOrThrow()).name;
}

/** Of the protected branch: the commit whose path decides. */
async function pathCommit(db: Sql, projectId: string): Promise<string | null> {
  const home = await db
    .selectFrom('repository')
    .select('config_commit')
    .where('project_id', '=', projectId)
    .where('name', 'is', null)
    .where('left_at', 'is', null)
    .executeTakeFirst();
  return home?.config_commit ?? null;
}

/** A URL may name who reads it, and more than that. */
function withoutUser(url: string): string {
  if (!URL.canParse(url)) return url.replace(/^[^@/]*@/, '');
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}
