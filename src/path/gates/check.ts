import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

/** Invariant 6: the latest evidence counts, a negative one wins, and a missing one is never green. */
export function decideCheck(gate: { readonly name: string }, { evidence, release, now }: PromotionFacts): GateVerdict {
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
          fix: `\`towpath logs ${release.mixed ? 'RELEASE' : release.name} ${gate.name}\` shows what it said. Fix it and push; \`towpath test ${release.mixed ? 'RELEASE' : release.name} ${gate.name}\` asks it again.`,
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
        reason: {
          gate: gate.name,
          what: `${gate.name} has no answer for the artifacts of ${release.name} yet; it is being asked.`,
        },
        checks: [gate.name],
        // whoever answers wakes it; the clock is there for an answer that never came
        wakeAtMs: now + ASK_AGAIN_MS,
      };
    case 'absent':
      return {
        kind: 'refuse',
        reason: {
          gate: gate.name,
          what: `No service of ${release.name} has a check called ${gate.name}, so nothing can prove it.`,
          fix: `Add the check to a service in that commit's towpath.yaml, or promote a release that has it.`,
        },
      };
    default:
      return known satisfies never;
  }
}

const ASK_AGAIN_MS = 60_000;
