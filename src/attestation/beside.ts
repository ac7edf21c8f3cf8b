import { hasCode } from '../lib/error.ts';
import { limiter } from '../lib/limiter.ts';
import type { Registry } from '../registry/registry.ts';
import type { StatedImage } from './attestation-store.ts';
import type { VerifiedStatement } from './chain.ts';
import { bundlesOf, readBundleAt } from './referrer.ts';
import type { Flaw, Verifier } from './verify.ts';

/** What lies beside an image, whoever put it there. */
export interface Beside {
  readonly verified: readonly VerifiedStatement[];
  /** How many do not count, by what is wrong with them. */
  readonly flaws: Readonly<Partial<Record<Flaw, number>>>;
}

/** @param registry or an OCI layout on the disk */
export async function readBeside(
  registry: Pick<Registry, 'referrers' | 'manifest' | 'readBlob'>,
  { repository, digest }: StatedImage,
  verifier: Verifier,
): Promise<Beside> {
  const limit = limiter(READ_AT_ONCE);
  const manifests = await bundlesOf(registry, repository, digest);
  const read = await Promise.all(
    [...new Set(manifests)].map((manifest) =>
      limit(async () =>
        verifier.verify((await readBundleAt(registry, repository, manifest).catch(nothingSound)) ?? '', digest),
      ),
    ),
  );
  const flaws: Partial<Record<Flaw, number>> = {};
  for (const one of read) if (one.kind === 'refused') flaws[one.flaw] = (flaws[one.flaw] ?? 0) + 1;
  return { verified: read.flatMap((one) => (one.kind === 'verified' ? [one] : [])), flaws };
}

const READ_AT_ONCE = 8;

/** Anybody who may write there can list what is not there, or not what it says. */
function nothingSound(error: unknown): null {
  if (hasCode(error, 'registry.not-found', 'registry.digest-mismatch', 'registry.manifest-invalid')) return null;
  throw error;
}
