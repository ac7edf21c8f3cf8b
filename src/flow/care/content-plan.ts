import type { HeldManifest } from '../../registry/content.ts';
import { type ContentRoots, keyOf } from './content-roots.ts';

/** What a sweep does with one manifest, and why. */
export interface ContentVerdict {
  readonly held: HeldManifest;
  readonly stays: boolean;
  /** Each as the end of "it ..."; at least one. */
  readonly reasons: readonly string[];
}

/**
 * Mark and sweep, as plain data: what has a name or a root stays, with the manifests of its index and with what speaks of
 * it; of the rest what was used lately. Neither how a name begins nor how old something is decides.
 * @param beforeMs what was used since then stays
 */
export function planContent(
  held: readonly HeldManifest[],
  roots: ContentRoots,
  beforeMs: number,
): readonly ContentVerdict[] {
  const byKey = new Map(held.map((one) => [keyOf(one), one]));
  const speakers = new Map<string, HeldManifest[]>();
  for (const one of held) {
    if (one.subject === null) continue;
    const key = keyOf({ ...one, digest: one.subject });
    speakers.set(key, [...(speakers.get(key) ?? []), one]);
  }
  const reasons = new Map<string, string[]>();
  const open: string[] = [];
  const keep = (key: string, ...why: readonly string[]): void => {
    const known = reasons.get(key);
    if (known === undefined) open.push(key);
    reasons.set(key, [...(known ?? []), ...why]);
  };
  for (const one of held) {
    const why = [...(roots.get(keyOf(one)) ?? []), ...one.tags.map((tag) => `is named ${tag}`)];
    if (why.length > 0) keep(keyOf(one), ...why);
  }
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const one = byKey.get(key);
    if (one === undefined) continue;
    for (const part of one.parts) keep(keyOf({ ...one, digest: part }), `belongs to ${short(one)}`);
    for (const speaker of speakers.get(key) ?? []) keep(keyOf(speaker), `speaks of ${short(one)}`);
  }
  return held.map((one) => {
    const known = reasons.get(keyOf(one));
    if (known !== undefined) return { held: one, stays: true, reasons: known };
    const used = new Date(one.usedMs).toISOString();
    return one.usedMs >= beforeMs
      ? { held: one, stays: true, reasons: [`was needed, pushed or asked for lately (${used})`] }
      : { held: one, stays: false, reasons: [`has no name, and nothing has needed or used it since ${used}`] };
  });
}

function short({ digest }: HeldManifest): string {
  return digest.slice(0, 19);
}
