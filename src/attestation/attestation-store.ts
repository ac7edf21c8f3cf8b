import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { type Digest, isDigest, sha256Hex } from '../lib/digest.ts';
import { inParts } from '../lib/parts.ts';
import { json, type Sql, type Tx } from '../store/database.ts';
import { signedBytes, writeBundle } from './bundle.ts';
import type { Claim } from './predicates.ts';
import type { Signer } from './signer.ts';
import { type PredicateType, writeStatement } from './statement.ts';

export interface StatedImage {
  /** `<project>/<service>` */
  readonly repository: string;
  readonly digest: Digest;
}

/** In the transaction of the fact that it states: both are there, or neither. */
export interface WantedStatement {
  readonly projectId: string;
  /** The id of what is stated. Of each fact there is one statement about an image. */
  readonly fact: string;
  readonly images: readonly StatedImage[];
  readonly claim: Claim;
}

/** Asked again for the same fact it changes nothing. */
export async function wantStatement(db: Sql, { projectId, fact, images, claim }: WantedStatement): Promise<void> {
  for (const part of inParts(images, 500))
    await db
      .insertInto('attestation')
      .values(
        part.map(({ repository, digest }) => ({
          id: `att_${sha256Hex(`${fact} ${claim.predicateType} ${repository} ${digest}`).slice(0, 26)}`,
          project_id: projectId,
          fact,
          repository,
          digest,
          predicate_type: claim.predicateType,
          predicate: json(claim.predicate),
        })),
      )
      .onConflict((conflict) => conflict.column('id').doNothing())
      .execute();
}

/** @returns `<repository>@<digest>` -> the predicate that was stated last, of a type and an environment; signed or not yet */
export async function lastStated(
  db: Sql,
  images: readonly StatedImage[],
  of: { readonly predicateType: PredicateType; readonly environment: string },
): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  if (images.length === 0) return new Map();
  const rows = await db
    .selectFrom('attestation')
    .select(['repository', 'digest', 'predicate'])
    .distinctOn(['repository', 'digest'])
    .where(
      'repository',
      'in',
      images.map(({ repository }) => repository),
    )
    .where(
      'digest',
      'in',
      images.map(({ digest }) => digest),
    )
    .where('predicate_type', '=', of.predicateType)
    .where(sql<boolean>`predicate ->> 'environment' = ${of.environment}`)
    .orderBy('repository')
    .orderBy('digest')
    .orderBy('number', 'desc')
    .execute();
  return new Map(
    rows.map(({ repository, digest, predicate }) => [`${repository}@${digest}`, predicate as Record<string, unknown>]),
  );
}

/** An image that somebody puts statements beside now, and nobody else until then. */
export interface ClaimedImage extends StatedImage {
  readonly tries: number;
  readonly untilMs: number;
}

/** Images with statements that are not beside them yet, each for one caller, who keeps it until `untilMs` and no longer. */
export async function claimImages(
  db: Sql,
  { nowMs, untilMs, most }: { readonly nowMs: number; readonly untilMs: number; readonly most: number },
): Promise<ClaimedImage[]> {
  const now = new Date(nowMs);
  await sql`insert into attested_image (repository, digest, due_at)
    select distinct repository, digest, ${now}::timestamptz from attestation where delivered_at is null
    on conflict do nothing`.execute(db);
  const { rows } = await sql<{ repository: string; digest: string; tries: number }>`
    update attested_image set due_at = ${new Date(untilMs)} where (repository, digest) in (
      select repository, digest from attested_image as due where due_at <= ${now} and exists (
        select from attestation where delivered_at is null
          and attestation.repository = due.repository and attestation.digest = due.digest)
      order by due_at limit ${most} for update skip locked)
    returning repository, digest, tries`.execute(db);
  return rows.flatMap(({ repository, digest, tries }) =>
    isDigest(digest) ? [{ repository, digest, tries, untilMs }] : [],
  );
}

/** Makes a claim longer, or ends it. @returns null when it was lost to another, and nothing is changed */
export async function renewClaim(
  db: Sql,
  image: ClaimedImage,
  untilMs: number,
  { tries = image.tries, problem }: { readonly tries?: number; readonly problem?: Problem | null } = {},
): Promise<ClaimedImage | null> {
  const { numUpdatedRows } = await db
    .updateTable('attested_image')
    .set({
      due_at: new Date(untilMs),
      tries,
      ...(problem === undefined ? {} : { problem: problem === null ? null : json(problem) }),
    })
    .where('repository', '=', image.repository)
    .where('digest', '=', image.digest)
    .where('due_at', '=', new Date(image.untilMs))
    .executeTakeFirst();
  return numUpdatedRows === 1n ? { ...image, untilMs, tries } : null;
}

/**
 * Signs what is not signed yet about an image, in the order in which it became true; each names the one before. A statement
 * has its text for good: signed anew, it says the same in the same place.
 * @returns how many
 */
export async function signStatements(
  tx: Tx,
  image: StatedImage,
  signer: () => Promise<Signer>,
  nowMs: number,
): Promise<number> {
  await tx // one at a time gives out places
    .selectFrom('attested_image')
    .select('digest')
    .where('repository', '=', image.repository)
    .where('digest', '=', image.digest)
    .forUpdate()
    .execute();
  const of = () =>
    tx.selectFrom('attestation').where('repository', '=', image.repository).where('digest', '=', image.digest);
  const open = await of().selectAll().where('bundle', 'is', null).orderBy('sequence').orderBy('number').execute();
  if (open.length === 0) return 0;
  let last = await of()
    .select(['sequence', 'statement'])
    .where('sequence', 'is not', null)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  const key = await signer();
  for (const row of open) {
    const sequence = row.sequence ?? (last?.sequence ?? 0) + 1;
    const link = { sequence, previous: typeof last?.statement === 'string' ? sha256Hex(last.statement) : null };
    const claim = { predicateType: row.predicate_type, predicate: row.predicate as Record<string, unknown> };
    const statement = row.statement ?? writeStatement({ ...claim, name: image.repository, digest: image.digest, link });
    if (row.statement === null) last = { sequence, statement };
    const signature = await key.sign(signedBytes(statement));
    await tx
      .updateTable('attestation')
      .set({
        sequence,
        statement,
        key_hint: key.hint,
        bundle: writeBundle({ statement, signature, hint: key.hint }),
        signed_at: new Date(nowMs),
      })
      .where('id', '=', row.id)
      .execute();
  }
  return open.length;
}

/** A statement as it was signed. */
export interface SignedRow {
  readonly id: string;
  readonly sequence: number;
  readonly predicateType: string;
  readonly bundle: string;
  readonly signedAt: Date;
  /** Of what lies beside the image; null as long as nothing does. */
  readonly manifest: string | null;
  readonly deliveredAt: Date | null;
}

/** All that is signed about an image, in order. */
export async function signedStatements(db: Sql, { repository, digest }: StatedImage): Promise<SignedRow[]> {
  const rows = await db
    .selectFrom('attestation')
    .select(['id', 'sequence', 'predicate_type', 'bundle', 'signed_at', 'manifest', 'delivered_at'])
    .where('repository', '=', repository)
    .where('digest', '=', digest)
    .where('bundle', 'is not', null)
    .orderBy('sequence')
    .execute();
  return rows.flatMap(({ id, sequence, predicate_type: predicateType, bundle, signed_at: signedAt, ...row }) =>
    sequence === null || bundle === null || signedAt === null
      ? []
      : [{ id, sequence, predicateType, bundle, signedAt, manifest: row.manifest, deliveredAt: row.delivered_at }],
  );
}

/** @param manifest null when there is no such image any more to put it beside: it is kept here */
export async function recordDelivered(
  db: Sql,
  { id, bundle }: Pick<SignedRow, 'id' | 'bundle'>,
  manifest: string | null,
  nowMs: number,
): Promise<void> {
  await db
    .updateTable('attestation')
    .set({ manifest, delivered_at: new Date(nowMs) })
    .where('id', '=', id)
    .where('bundle', '=', bundle) // it may have been signed anew since
    .execute();
}
