import type { PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';
import { holds, namesFor } from '../rule.ts';

/** What cannot be answered holds nothing up for ever and lets nothing in: it is refused, with the cause. */
export function decideRule(gate: { readonly rule: string; readonly says: string }, facts: PromotionFacts): GateVerdict {
  const answer = facts.rules?.[gate.rule] ?? holds(gate.rule, namesFor(facts));
  if (answer === true) return { kind: 'pass', reason: { gate: 'rule', what: gate.says } };
  const { protectedBranch, release, environment } = facts;
  return typeof answer === 'object'
    ? refuse(
        `The rule \`${gate.rule}\` cannot be answered for ${release.name}: ${answer.unanswered}.`,
        `Correct it in towpath.yaml on ${protectedBranch}.`,
      )
    : refuse(
        `${gate.says} This is not so of ${release.name}: \`${gate.rule}\` is false.`,
        `Promote a release of which it is true, or change the rule of ${environment.name} in towpath.yaml on ${protectedBranch}.`,
      );
}

function refuse(what: string, fix: string): GateVerdict {
  return { kind: 'refuse', reason: { gate: 'rule', what, fix } };
}
