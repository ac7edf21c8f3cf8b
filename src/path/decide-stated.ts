import type { Chain } from '../attestation/chain.ts';
import type { Statement } from '../attestation/statement.ts';
import { formatDuration } from '../lib/duration.ts';
import { type Decision, decidePromotion, explainPromotion, type Finding } from './policy.ts';
import type { Reason } from './promotion.ts';
import { factsStated, type StatedTerms, termsStated } from './stated.ts';
import { answersStated, type StatedAnswer } from './stated-answers.ts';

export interface StatedDecision {
  readonly verdict: Decision['kind'];
  /** Every condition; the ones that decided it among them. */
  readonly findings: readonly Finding[];
  /** What it was decided by; null where there was nothing to decide by. */
  readonly by: StatedTerms | null;
  /** Those that findings name, by how they name them. */
  readonly answers: ReadonlyMap<string, StatedAnswer>;
}

export interface StatedQuestion {
  readonly environment: string;
  readonly now: number;
  /** How old the newest terms may be. Whoever can delete in the registry can hide what was stated after them. */
  readonly maxAgeMs?: number;
}

/**
 * May this image go into an environment, by what is stated about it and nothing else? The same decision as the server's, on
 * the same facts; where statements are missing it is no.
 */
export function decideStated(chain: Chain, question: StatedQuestion): StatedDecision {
  if (chain.kind !== 'whole') return refused(unsound(chain));
  const { statements } = chain;
  const by = termsStated(statements, question.environment);
  if (by === null) return refused(neverAsked(statements, question));
  if (by === 'unreadable') return refused(unreadable(question));
  const answers = answersStated(statements);
  const facts = factsStated(statements, by, { ...question, answers });
  const old = tooOld(by, question);
  const decision = decidePromotion(facts);
  return {
    verdict: decision.kind === 'go' && old !== null ? 'wait' : decision.kind,
    findings: [...explainPromotion(facts), ...(old === null ? [] : [old])],
    by,
    answers: new Map([...answers.values()].map((answer) => [answer.evidence, answer])),
  };
}

function refused(reason: Reason): StatedDecision {
  return { verdict: 'refuse', findings: [{ verdict: 'refuse', reason }], by: null, answers: new Map() };
}

function unsound(chain: Exclude<Chain, { kind: 'whole' }>): Reason {
  const gate = 'statements';
  if (chain.kind === 'truncated')
    return {
      gate,
      what: `Statement ${chain.missing} of at least ${chain.last} is missing, or does not count: what is missing may say no.`,
      fix: 'Give all keys that count (`towpath key export --json`). If they were, somebody took it away: ask the server (`towpath why`).',
    };
  return {
    gate,
    what: `Statement ${chain.at} is there with two contents, or does not follow the one before it.`,
    fix: 'The database was put back from a backup, or somebody else has the key. Ask the server (`towpath why`).',
  };
}

function neverAsked(statements: readonly Statement[], { environment }: StatedQuestion): Reason {
  return {
    gate: 'policy',
    what:
      statements.length === 0
        ? 'Nothing that counts is stated about this image.'
        : `Nothing is stated of what ${environment} asks of this image.`,
    fix: `\`towpath promote RELEASE ${environment}\` has it stated. Is it the right key, image and environment?`,
  };
}

function unreadable({ environment }: StatedQuestion): Reason {
  return {
    gate: 'policy',
    what: `What ${environment} asks is stated in a way that this version does not know.`,
    fix: 'Use the version of the server.',
  };
}

function tooOld({ atMs }: StatedTerms, { environment, now, maxAgeMs }: StatedQuestion): Finding | null {
  if (maxAgeMs === undefined || now - atMs <= maxAgeMs) return null;
  return {
    verdict: 'wait',
    reason: {
      gate: 'policy',
      what: `What ${environment} asks was stated at ${new Date(atMs).toISOString()}, and may be at most ${formatDuration(maxAgeMs)} old: what was stated since may be hidden.`,
      fix: `\`towpath promote RELEASE ${environment}\` has it stated anew.`,
    },
  };
}
