import type { PromotionFacts } from './facts.ts';
import type { Gate } from './gate.ts';
import { decideApprovals } from './gates/approvals.ts';
import { decideCheck } from './gates/check.ts';
import { decideContracts } from './gates/can-i-deploy.ts';
import { decideFreeze } from './gates/freeze.ts';
import { decideRule } from './gates/rule.ts';
import { decideSoak } from './gates/soak.ts';
import { decideUnchanged } from './gates/unchanged.ts';
import type { GateVerdict } from './policy.ts';

/** The family of gates: each is a function of its definition and the facts. */
export function decideGate(gate: Gate, facts: PromotionFacts): GateVerdict {
  switch (gate.kind) {
    case 'unchanged':
      return decideUnchanged(facts);
    case 'can-i-deploy':
      return decideContracts(facts);
    case 'check':
      return decideCheck(gate, facts);
    case 'approvals':
      return decideApprovals(gate, facts);
    case 'soak':
      return decideSoak(gate, facts);
    case 'freeze':
      return decideFreeze(gate, facts);
    case 'rule':
      return decideRule(gate, facts);
    default:
      return gate satisfies never;
  }
}
