import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

/**
 * The merged commit gives the very artifacts that its branch was tested with; a refusal names what differs. What
 * comes first into an empty environment is the base line: nothing was there to be tested against.
 */
export function decideUnchanged({ unchanged, order, now }: PromotionFacts): GateVerdict {
  if (unchanged.kind === 'same')
    return { kind: 'pass', reason: { gate: 'unchanged', what: 'Its artifacts are those that were tested before.' } };
  if (order === 'first')
    return {
      kind: 'pass',
      reason: { gate: 'unchanged', what: 'Nothing runs there that it could have been tested against.' },
    };
  if (unchanged.kind === 'unknown')
    return { kind: 'wait', reason: { gate: 'unchanged', what: unchanged.what }, wakeAtMs: now + LOOK_AGAIN_MS };
  return { kind: 'refuse', reason: { gate: 'unchanged', what: unchanged.what, fix: unchanged.fix } };
}

const LOOK_AGAIN_MS = 1000;
