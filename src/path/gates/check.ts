import { formatDuration } from '../../lib/duration.ts';
import type { AnswerFacts, PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';
import type { Reason } from '../promotion.ts';

export interface CheckGate {
  readonly name: string;
  /** How old an answer may be; of any age when it is not said. */
  readonly freshMs?: number;
}

/**
 * Invariant 6: the latest evidence counts, a negative one wins, and a missing one is never green. Evidence counts where the
 * protected branch asks the very same question (invariant 15), and until it is too old.
 */
export function decideCheck(gate: CheckGate, facts: PromotionFacts): GateVerdict {
  const { name, freshMs } = gate;
  const answers = facts.evidence[name] ?? [];
  // a check that no service has proves nothing: the gate must not be passed by deleting the check
  if (answers.length === 0) return { kind: 'refuse', reason: absent(name, facts) };
  const bad = answers.filter(({ latest }) => latest !== null && latest.verdict !== 'passed');
  if (bad.length > 0) return { kind: 'refuse', reason: failed(name, facts, bad) };
  const loose = answers.filter(({ asked }) => asked !== 'same');
  // what came by itself may be taken in before the protected branch is: it waits for that
  if (loose.length > 0)
    return { kind: facts.promotion.automatic ? 'wait' : 'refuse', reason: otherwise(name, facts, loose) };
  const missing = answers.filter(({ latest }) => latest === null);
  // whoever answers wakes it; the clock is there for an answer that never came
  const wakeAtMs = facts.now + ASK_AGAIN_MS;
  if (missing.length > 0)
    return { kind: 'wait', reason: unanswered(name, facts, answers), checks: [{ check: name }], wakeAtMs };
  const ending = answers.filter((answer) => endOf(answer, freshMs) <= facts.now);
  if (ending.length > 0) {
    const sinceMs = Math.max(facts.now - (freshMs ?? facts.now), ...ending.map(atOf));
    const checks = [{ check: name, sinceMs }];
    return { kind: 'wait', reason: stale(name, freshMs, facts, ending), checks, wakeAtMs };
  }
  const untilMs = Math.min(...answers.map((answer) => endOf(answer, freshMs)));
  return { kind: 'pass', reason: { ...passed(name, answers), ...(untilMs === Infinity ? {} : { untilMs }) } };
}

/** When an answer counts no more: it is too old, or what it rests upon is. */
function endOf({ latest }: AnswerFacts, freshMs = Infinity): number {
  return latest === null ? 0 : Math.min(latest.at + freshMs, latest.untilMs ?? Infinity);
}

const ASK_AGAIN_MS = 60_000;

function absent(gate: string, { release }: PromotionFacts): Reason {
  return {
    gate,
    what: `No service of ${release.name} has a check called ${gate}, so nothing can prove it.`,
    fix: `Add the check to a service in that commit's towpath.yaml, or promote a release that has it.`,
  };
}

function failed(gate: string, { release }: PromotionFacts, bad: readonly AnswerFacts[]): Reason {
  const [first] = bad;
  const word = release.mixed ? 'RELEASE' : release.name;
  return {
    gate,
    what: `${gate} ${first?.latest?.verdict === 'error' ? 'could not be answered' : 'failed'} for ${release.name}: ${first?.service}: ${first?.latest?.summary}`,
    fix: `\`towpath logs ${word} ${gate}\` shows what it said. Fix it and push; \`towpath test ${word} ${gate}\` asks it again.`,
    evidence: idsOf(bad),
  };
}

function otherwise(gate: string, facts: PromotionFacts, loose: readonly AnswerFacts[]): Reason {
  const { release, protectedBranch: branch, environment } = facts;
  const each = loose.map((answer) => spokenDifference(answer, gate, branch));
  return {
    gate,
    what: `What ${release.name} says of ${gate} does not count in ${environment.name}: ${each.join('; ')}.`,
    fix: `Merge the change of the check into ${branch}, or ask what ${branch} asks and push. Previews take it as it is.`,
    evidence: idsOf(loose),
  };
}

/** How a release asks otherwise than the protected branch. */
export function spokenDifference({ service, asked, differs }: AnswerFacts, check: string, branch: string): string {
  if (asked === 'only-here') return `${branch} asks no ${check} of ${service}`;
  if (asked === 'only-there') return `${branch} asks ${check} of ${service} and this release does not`;
  return `${branch} asks ${check} of ${service} with another ${differs.join(', ')}`;
}

function unanswered(gate: string, { release }: PromotionFacts, answers: readonly AnswerFacts[]): Reason {
  return {
    gate,
    what: `${gate} has no answer for the artifacts of ${release.name} yet; it is being asked.`,
    evidence: idsOf(answers),
  };
}

function stale(
  gate: string,
  freshMs: number | undefined,
  { release, now }: PromotionFacts,
  ending: readonly AnswerFacts[],
): Reason {
  const old = ending.toSorted((one, other) => atOf(one) - atOf(other));
  const [first] = old;
  const at = `${gate} passed for ${release.name} at ${new Date(atOf(first)).toISOString()}, and`;
  const until = first?.latest?.untilMs;
  const why =
    freshMs !== undefined && atOf(first) + freshMs <= now
      ? `its answer may be at most ${formatDuration(freshMs)} old`
      : `what it rests upon counted until ${new Date(until ?? now).toISOString()}`;
  return { gate, what: `${at} ${why}; it is being asked again.`, evidence: idsOf(old) };
}

function passed(gate: string, answers: readonly AnswerFacts[]): Reason {
  const summaries = answers.map(({ service, latest }) => `${service}: ${latest?.summary}`);
  return { gate, what: `${gate} passed: ${summaries.join('; ')}`, evidence: idsOf(answers) };
}

function idsOf(answers: readonly AnswerFacts[]): string[] {
  return answers.flatMap(({ latest }) => (latest === null ? [] : [latest.evidence]));
}

function atOf(answer: AnswerFacts | undefined): number {
  return answer?.latest?.at ?? 0;
}
