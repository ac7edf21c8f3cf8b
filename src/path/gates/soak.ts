import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

/**
 * These artifacts must have run for `ms` in the predecessors, added up over all their times there: a newer release that
 * came between does not take the time back. Where one runs now, the wait ends at a known instant.
 */
export function decideSoak(gate: { readonly ms: number }, { predecessors, now }: PromotionFacts): GateVerdict {
  const longest = predecessors.reduce<{ ranMs: number; runsNow: boolean; name: string } | null>(
    (best, { name, ranMs, runsNow }) =>
      ranMs !== null && (best === null || ranMs > best.ranMs) ? { name, ranMs, runsNow } : best,
    null,
  );
  if (longest !== null && longest.ranMs >= gate.ms) return { kind: 'pass' };
  const left = gate.ms - (longest?.ranMs ?? 0);
  const where = longest?.name ?? predecessors.map(({ name }) => name).join(' or ');
  if (longest?.runsNow !== true) {
    return {
      kind: 'wait',
      reason: { gate: 'soak', what: `It has to run ${seconds(left)} more in ${where}, and does not run there now.` },
    };
  }
  return {
    kind: 'wait',
    reason: { gate: 'soak', what: `It has to run ${seconds(left)} more in ${where}.`, untilMs: now + left },
    wakeAtMs: now + left,
  };
}

function seconds(ms: number): string {
  if (ms < 120_000) return `${Math.ceil(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.ceil(ms / 60_000)} min` : `${Math.ceil(ms / 3_600_000)} h`;
}
