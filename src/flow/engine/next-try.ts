/**
 * Tries of the same work have ids that count from 0, for an id runs once for ever. @returns the number of the first that
 * has not ended: it is under way, or nobody has begun it
 */
export async function nextTry(hasEnded: (number: number) => Promise<boolean>): Promise<number> {
  if (!(await hasEnded(0))) return 0;
  let ended = 0;
  let open = 1;
  while (await hasEnded(open)) [ended, open] = [open, open * 2];
  while (open - ended > 1) {
    const middle = Math.floor((ended + open) / 2);
    if (await hasEnded(middle)) ended = middle;
    else open = middle;
  }
  return open;
}
