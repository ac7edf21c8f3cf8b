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
  const oldest = Math.min(...answers.map(({ latest }) => latest?.at ?? 0));
  if (freshMs === undefined) return { kind: 'pass', reason: passed(name, answers) };
  if (oldest + freshMs > facts.now)
    return { kind: 'pass', reason: { ...passed(name, answers), untilMs: oldest + freshMs } };
  const checks = [{ check: name, sinceMs: facts.now - freshMs }];
  return { kind: 'wait', reason: stale(name, freshMs, facts, answers), checks, wakeAtMs };
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
  const each = loose.map(({ service, asked, differs }) => {
    if (asked === 'only-here') return `${branch} asks no ${gate} of ${service}`;
    if (asked === 'only-there') return `${branch} asks ${gate} of ${service} and this release does not`;
    return `${branch} asks ${gate} of ${service} with another ${differs.join(', ')}`;
  });
  return {
    gate,
    what: `What ${release.name} says of ${gate} does not count in ${environment.name}: ${each.join('; ')}.`,
    fix: `Merge the change of the check into ${branch}, or ask what ${branch} asks and push. Previews take it as it is.`,
    evidence: idsOf(loose),
  };
}

function unanswered(gate: string, { release }: PromotionFacts, answers: readonly AnswerFacts[]): Reason {
  return {
    gate,
    what: `${gate} has no answer for the artifacts of ${release.name} yet; it is being asked.`,
    evidence: idsOf(answers),
  };
}

function stale(gate: string, freshMs: number, { release }: PromotionFacts, answers: readonly AnswerFacts[]): Reason {
  const old = answers.filter(({ latest }) => latest !== null).toSorted((a, b) => atOf(a) - atOf(b));
  return {
    gate,
    what: `${gate} passed for ${release.name} at ${new Date(atOf(old[0])).toISOString()}, and its answer may be at most ${formatDuration(freshMs)} old; it is being asked again.`,
    evidence: idsOf(old),
  };
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
