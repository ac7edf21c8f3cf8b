import type { PromotionFacts } from '../facts.ts';
import { type FreezeWindow, frozenUntil } from '../freeze-window.ts';
import type { GateVerdict } from '../policy.ts';

/** Nothing moves in while a window is open, be it asked for by a person: the wait ends at a known instant. */
export function decideFreeze(
  gate: { readonly windows: readonly FreezeWindow[] },
  { now, environment }: PromotionFacts,
): GateVerdict {
  const untilMs = frozenUntil(gate.windows, now);
  if (untilMs === null) return { kind: 'pass', reason: { gate: 'freeze', what: `${environment.name} is not frozen.` } };
  const why = gate.windows.find((window) => window.reason !== undefined && frozenUntil([window], now) !== null)?.reason;
  return {
    kind: 'wait',
    reason: {
      gate: 'freeze',
      what: `${environment.name} is frozen${why === undefined ? '' : ` (${why})`} until ${new Date(untilMs).toISOString()}.`,
      untilMs,
    },
    wakeAtMs: untilMs,
  };
}
