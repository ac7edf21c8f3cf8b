import type { BranchWriter } from '../../git/branch-writer.ts';
import type { Digest } from '../../lib/digest.ts';
import { readFile } from './batch.ts';
import { GitopsError } from './gitops-error.ts';
import { readImage } from './image-field.ts';
import type { ImagePlace } from './image-place.ts';
import type { Standing } from './watch/sight.ts';

export interface WrittenImages {
  readonly branch: string | null;
  /** The commit that brought them; null where any counts that names them. */
  readonly commit: string | null;
  readonly images: readonly { readonly place: ImagePlace; readonly digest: Digest }[];
}

/**
 * How other commits stand to the one that was written. Others are put on top all the time: one that descends from it and names
 * the same images at the same places is as good.
 */
export function standingAgainst(
  writer: Pick<BranchWriter, 'head' | 'isAncestor' | 'draft'>,
  { branch, commit, images }: WrittenImages,
): (revision: string) => Promise<Standing> {
  const known = new Map<string, Promise<Standing>>();
  const find = async (revision: string): Promise<Standing> => {
    if (!/^[0-9a-f]{40,64}$/.test(revision)) return 'before'; // the version of a chart, which is another source
    const oldest = commit ?? revision;
    if (!(await writer.isAncestor(oldest, revision))) {
      await writer.head(branch); // it may be newer than what is here
      if (!(await writer.isAncestor(oldest, revision))) return 'before';
    }
    const draft = await writer.draft(revision);
    for (const { place, digest } of images)
      if ((await digestAt(draft, place)) !== digest) return commit === null ? 'before' : 'overwritten';
    return 'holds';
  };
  return (revision) => {
    const standing = known.get(revision) ?? find(revision);
    known.set(revision, standing);
    standing.catch(() => known.delete(revision));
    return standing;
  };
}

/** Null where a commit names none at that place, or has no such place. */
export async function digestAt(draft: Parameters<typeof readFile>[0], place: ImagePlace): Promise<Digest | null> {
  try {
    return readImage(await readFile(draft, place.file), place);
  } catch (error) {
    if (error instanceof GitopsError) return null; // whoever writes there next tells why
    throw error;
  }
}
