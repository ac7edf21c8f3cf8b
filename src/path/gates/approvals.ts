import { authorshipOf, strangersOf } from '../authorship.ts';
import type { ApprovalFacts, GitIdentity, PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';

export interface ApprovalsGate {
  /** A role of `towpath.yaml`, or people by their names. */
  readonly of: string | readonly string[];
  readonly count: number;
  readonly expiresMs: number;
}

/**
 * `count` different people of the role, and among them at least one who did not write what is promoted. Whoever cannot be
 * told from an author proves that alone by number: of more people than there are unknown authors one is none of them. An
 * approval counts until it expires, and for the release and the configuration that it was given for; one rejection by somebody
 * of the role refuses.
 */
export function decideApprovals(gate: ApprovalsGate, facts: PromotionFacts): GateVerdict {
  const allowed = new Set(peopleOf(gate, facts).map((user) => user.toLowerCase()));
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
  const inTime = voices.filter(({ at }) => at + gate.expiresMs > facts.now);
  const valid = eachOnce(inTime.filter(({ forThis }) => forThis));
  const outdated = inTime.filter(({ forThis }) => !forThis);
  const missing = gate.count - valid.length;
  if (missing > 0)
    return waits(
      gate,
      valid,
      `waits for ${missing} more approval${missing === 1 ? '' : 's'} of ${called(gate)}${saidSo(valid)}${others(gate, facts, allowed)}${forAnother(outdated, facts)}`,
    );
  const hands = valid.map(({ by }) => authorshipOf(by, facts));
  const untold = valid.filter((_voice, at) => hands[at] === 'unknown');
  const strangers = strangersOf(facts);
  if (hands.includes('other') || untold.length > strangers.length) return approved(gate, valid);
  if (untold.length > 0) return waits(gate, valid, untoldFrom(untold, strangers), listing(untold));
  return waits(
    gate,
    valid,
    `waits for an approval of ${called(gate)} by somebody who did not write it${saidSo(valid)}`,
  );
}

/** Who may approve. */
export function peopleOf(
  { of }: Pick<ApprovalsGate, 'of'>,
  { roles }: Pick<PromotionFacts, 'roles'>,
): readonly string[] {
  return typeof of === 'string' ? (roles[of] ?? []) : of;
}

/** How those are called who may approve. */
export function called({ of }: Pick<ApprovalsGate, 'of'>): string {
  return typeof of === 'string' ? of : of.join(' or ');
}

function approved(gate: ApprovalsGate, valid: readonly ApprovalFacts[]): GateVerdict {
  const each = valid.map(({ by, comment }) => `${by}${comment === null ? '' : ` (${comment})`}`);
  const untilMs = Math.min(...valid.map(({ at }) => at + gate.expiresMs));
  return { kind: 'pass', reason: { gate: 'approvals', what: `Approved by ${each.join(', ')}.`, untilMs } };
}

/** What they looked at is not what would run now. */
function forAnother(outdated: readonly ApprovalFacts[], { environment }: PromotionFacts): string {
  if (outdated.length === 0) return '';
  const names = [...new Set(outdated.map(({ by }) => by))].join(', ');
  return ` (${names} approved it for another configuration of ${environment.name} than it has now)`;
}

function untoldFrom(untold: readonly ApprovalFacts[], strangers: readonly GitIdentity[]): string {
  const [names, shown] = [untold.map(({ by }) => by).join(', '), strangers.slice(0, 3)];
  const authors = shown.map(({ name, email }) => `${name} <${email}>`).join(', ');
  const more = strangers.length > shown.length ? ` and ${strangers.length - shown.length} more` : '';
  return `cannot tell whether ${names} wrote it: no user is known for the author ${authors}${more}`;
}

function listing(untold: readonly ApprovalFacts[]): string {
  const [{ by } = { by: 'NAME' }] = untold;
  return `Say under \`users\` in the towpath.yaml of the default branch who the author is, or who ${by} is in git: \`users: { ${by}: [address] }\`. Somebody of that role who is listed there may approve too.`;
}

const ASK = 'Somebody of that role: `towpath approve <promotion>`.';

function waits(gate: ApprovalsGate, valid: readonly ApprovalFacts[], what: string, fix = ASK): GateVerdict {
  const expiries = valid.map(({ at }) => at + gate.expiresMs);
  return {
    kind: 'wait',
    reason: { gate: 'approvals', what: `It ${what}.`, fix },
    ...(expiries.length === 0 ? {} : { wakeAtMs: Math.min(...expiries) }),
  };
}

/** Two spellings of one name are one person. */
function eachOnce(voices: readonly ApprovalFacts[]): ApprovalFacts[] {
  return [...new Map(voices.map((voice) => [voice.by.toLowerCase(), voice])).values()];
}

function saidSo(valid: readonly ApprovalFacts[]): string {
  return valid.length === 0 ? '' : ` (so far: ${valid.map(({ by }) => by).join(', ')})`;
}

/** Who said yes and does not count would else wonder why nothing happens. */
function others(gate: ApprovalsGate, { approvals }: PromotionFacts, allowed: ReadonlySet<string>): string {
  const names = [...new Set(approvals.map(({ by }) => by))].filter((by) => !allowed.has(by.toLowerCase()));
  return names.length === 0 ? '' : ` (${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not of ${called(gate)})`;
}
