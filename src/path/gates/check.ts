import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

/** Invariant 6: the latest evidence counts, a negative one wins, and a missing one is never green. */
export function decideCheck(gate: { readonly name: string }, { evidence, release }: PromotionFacts): GateVerdict {
  const known = evidence[gate.name] ?? { state: 'missing' };
  switch (known.state) {
    case 'passed':
      return { kind: 'pass' };
    case 'failed':
      return {
        kind: 'refuse',
        reason: {
          gate: gate.name,
          what: `${gate.name} failed for ${release.name}: ${known.what}`,
          fix: `Fix it and push, or run it again with \`towpath test ${gate.name}\` if the failure was not the code's.`,
        },
      };
    case 'running':
      return {
        kind: 'wait',
        reason: { gate: gate.name, what: `${gate.name} is running on the artifacts of ${release.name}.` },
      };
    case 'missing':
      return {
        kind: 'wait',
        reason: { gate: gate.name, what: `${gate.name} has not been asked of the artifacts of ${release.name} yet.` },
        checks: [gate.name],
      };
    default:
      return known satisfies never;
  }
}
