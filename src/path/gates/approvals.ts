import type { ApprovalFacts, PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

export interface ApprovalsGate {
  /** A role of `towpath.yaml`. */
  readonly of: string;
  readonly count: number;
  readonly expiresMs: number;
}

/**
 * `count` different people of the role, and among them at least one who did not write what is promoted. An approval
 * counts until it expires; one rejection by somebody of the role refuses.
 */
export function decideApprovals(gate: ApprovalsGate, facts: PromotionFacts): GateVerdict {
  const allowed = new Set((facts.roles[gate.of] ?? []).map((user) => user.toLowerCase()));
  const voices = facts.approvals.filter(({ by }) => allowed.has(by.toLowerCase()));
  const no = voices.find(({ verdict }) => verdict === 'rejected');
  if (no !== undefined) {
    const comment = no.comment === null ? '' : `: ${no.comment}`;
    return {
      kind: 'refuse',
      reason: {
        gate: 'approvals',
        what: `${no.by} rejected it${comment}.`,
        fix: 'Settle it with them, then promote again.',
      },
    };
  }
  const valid = voices.filter(({ at }) => at + gate.expiresMs > facts.now);
  const missing = gate.count - valid.length;
  if (missing > 0)
    return waits(
      gate,
      valid,
      `waits for ${missing} more approval${missing === 1 ? '' : 's'} of ${gate.of}${saidSo(valid)}${others(gate, facts, allowed)}`,
    );
  if (valid.every(({ by }) => isAuthor(by, facts))) {
    return waits(gate, valid, `waits for an approval of ${gate.of} by somebody who did not write it${saidSo(valid)}`);
  }
  return { kind: 'pass' };
}

function waits(gate: ApprovalsGate, valid: readonly ApprovalFacts[], what: string): GateVerdict {
  const expiries = valid.map(({ at }) => at + gate.expiresMs);
  return {
    kind: 'wait',
    reason: { gate: 'approvals', what: `It ${what}.`, fix: 'Somebody of that role: `towpath approve <promotion>`.' },
    ...(expiries.length === 0 ? {} : { wakeAtMs: Math.min(...expiries) }),
  };
}

function saidSo(valid: readonly ApprovalFacts[]): string {
  return valid.length === 0 ? '' : ` (so far: ${valid.map(({ by }) => by).join(', ')})`;
}

/** Who said yes and does not count would else wonder why nothing happens. */
function others(gate: ApprovalsGate, { approvals }: PromotionFacts, allowed: ReadonlySet<string>): string {
  const names = [...new Set(approvals.map(({ by }) => by))].filter((by) => !allowed.has(by.toLowerCase()));
  return names.length === 0 ? '' : ` (${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not of ${gate.of})`;
}

function isAuthor(user: string, { authors }: PromotionFacts): boolean {
  return authors.includes(user.toLowerCase());
}
