import { lastStated, type StatedImage, wantStatement } from '../../attestation/attestation-store.ts';
import { policyClaim } from '../../attestation/predicates.ts';
import { PREDICATES } from '../../attestation/statement.ts';
import { canonicalJson } from '../../lib/digest.ts';
import type { Promotion } from '../../path/promotion-store.ts';
import { decidingPart, Terms, termsOf } from '../../path/terms.ts';
import type { Release } from '../../release/release.ts';
import type { Sql, Tx } from '../../store/database.ts';
import type { Gathered } from '../gather.ts';
import { imagesOf, projectName } from './state.ts';

/** What an environment asks of each image of a release, as it was looked at; plain JSON, for a step gives it. */
export interface Policy {
  readonly environment: string;
  readonly atMs: number;
  readonly images: readonly (StatedImage & { readonly terms: Terms })[];
}

/** @returns null where nothing is stated: for a rollback, which asks for no gate, in a preview, and before there are images */
export async function policyOf(
  db: Sql,
  { facts, circumstances, isPreview }: Gathered,
  release: Release,
): Promise<Policy | null> {
  if (facts.promotion.kind !== 'promotion' || isPreview || release.state !== 'ready') return null;
  const images = imagesOf(release);
  const services = images.map(({ service }) => service);
  const about = {
    project: await projectName(db, release.projectId),
    services,
    fingerprint: release.fingerprint,
    circumstances,
  };
  return {
    environment: facts.environment.name,
    atMs: facts.now,
    images: images.map(({ service, repository, digest }) => ({
      repository,
      digest,
      terms: termsOf(facts, { ...about, service }),
    })),
  };
}

/** In the transaction that decides by them. Said again only where something that decides is otherwise than it was said last. */
export async function statePolicy(
  tx: Tx,
  { id, projectId }: Pick<Promotion, 'id' | 'projectId'>,
  { environment, atMs, images }: Policy,
): Promise<void> {
  const before = await lastStated(tx, images, { predicateType: PREDICATES.policy, environment });
  for (const { terms, ...image } of images) {
    const last = before.get(`${image.repository}@${image.digest}`);
    if (last?.['promotion'] === id && isSame(last['terms'], terms)) continue;
    await wantStatement(tx, {
      projectId,
      fact: `${id} ${atMs}`,
      images: [image],
      claim: policyClaim({ environment, promotion: id, terms, at: new Date(atMs) }),
    });
  }
}

function isSame(before: unknown, now: Terms): boolean {
  const read = Terms.safeParse(before);
  return read.success && canonicalJson(decidingPart(read.data)) === canonicalJson(decidingPart(now));
}
