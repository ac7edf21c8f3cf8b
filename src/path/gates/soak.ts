import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

/**
 * These artifacts must have run for `ms` in the predecessors, added up over all their times there: a newer release that
 * came between does not take the time back. Where one runs now, the wait ends at a known instant.
 */
export function decideSoak(gate: { readonly ms: number }, { predecessors, now }: PromotionFacts): GateVerdict {
  // one that runs now gets there by itself, however long another has run that does not
  const [nearest] = predecessors.toSorted(
    (a, b) => Number(b.runsNow) - Number(a.runsNow) || (b.ranMs ?? -1) - (a.ranMs ?? -1),
  );
  const done = predecessors.find(({ ranMs }) => ranMs !== null && ranMs >= gate.ms);
  if (done !== undefined)
    return { kind: 'pass', reason: { gate: 'soak', what: `It ran ${spoken(done.ranMs ?? 0)} in ${done.name}.` } };
  const left = gate.ms - (nearest?.ranMs ?? 0);
  if (nearest?.runsNow === true) {
    return {
      kind: 'wait',
      reason: { gate: 'soak', what: `It has to run ${spoken(left)} more in ${nearest.name}.`, untilMs: now + left },
      wakeAtMs: now + left,
    };
  }
  const where =
    nearest === undefined || nearest.ranMs === null ? predecessors.map(({ name }) => name).join(' or ') : nearest.name;
  return {
    kind: 'wait',
    reason: {
      gate: 'soak',
      what: `It has to run ${spoken(left)} more in ${where}, and does not run there now.`,
      fix: `Bring it into ${where} again; the time it ran there before counts.`,
    },
  };
}

function spoken(ms: number): string {
  if (ms < 120_000) return `${Math.ceil(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.ceil(ms / 60_000)} min` : `${Math.ceil(ms / 3_600_000)} h`;
}
