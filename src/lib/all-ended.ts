/**
 * Waits until all of them have ended, so that nothing is begun any more when what they made is removed.
 * @throws the first failure, in their order
 */
export async function allEnded<T extends readonly Promise<unknown>[]>(
  works: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(works);
  return Promise.all(works);
}
