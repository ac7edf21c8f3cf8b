import { distance } from 'fastest-levenshtein';

/** The word that was probably meant: near enough to be a slip of the hand, or begun with this one; else undefined. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  const begun = known.filter((one) => word.length >= 3 && one.toLowerCase().startsWith(word.toLowerCase()));
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const found = distance(word.toLowerCase().slice(0, 100), candidate.toLowerCase());
    if (best === undefined || found < best.distance) best = { word: candidate, distance: found };
  }
  const isSlip = best !== undefined && best.distance <= Math.max(2, Math.floor(best.word.length / 3));
  return isSlip ? best?.word : begun.length === 1 ? begun[0] : undefined;
}
