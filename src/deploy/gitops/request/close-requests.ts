import type { BranchWriter } from '../../../git/branch-writer.ts';
import type { LogLine } from '../../../lib/log.ts';
import type { Target } from '../../driver.ts';
import { ownBranches } from './own-branch.ts';
import type { Requests } from './requests.ts';

/**
 * Closes what earlier promotions to a target have left open, and takes their branches away. Git itself tells which there are, so
 * that none is forgotten by a server that ends half way.
 * @param except the branch of the promotion that goes on
 */
export async function closeRequests(
  {
    writer,
    requests,
    log,
    signal,
  }: {
    readonly writer: Pick<BranchWriter, 'head' | 'beginning' | 'remove'>;
    readonly requests: Requests;
    readonly log: LogLine;
    readonly signal: AbortSignal;
  },
  target: Target,
  branch: string | null,
  { except, why }: { readonly except: string | null; readonly why: string },
): Promise<void> {
  const left = (await writer.beginning(ownBranches(target), signal)).filter((head) => head.branch !== except);
  if (left.length === 0) return;
  const into = await writer.head(branch, signal);
  for (const head of left) {
    const request = into === null ? null : await requests.find({ head: head.branch, target: into.branch }, signal);
    if (request?.state === 'open') {
      await requests.close(request, signal);
      log(`${request.url} is closed: ${why}`);
    }
    await writer.remove(head, signal);
  }
}
