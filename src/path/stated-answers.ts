import { z } from 'zod';

import { DETAILS } from '../attestation/predicates.ts';
import { PREDICATES, type Statement } from '../attestation/statement.ts';
import type { AnswerFacts, NamedAnswer, PromotionFacts } from './facts.ts';
import type { Terms, TermsGate } from './terms.ts';

/** An answer as it is stated; evidence of a decision is called as `evidence`. */
export interface StatedAnswer {
  readonly evidence: string;
  readonly sequence: number;
  readonly check: string;
  readonly service: string;
  readonly verdict: 'passed' | 'failed' | 'error';
  readonly summary: string;
  readonly at: number;
  readonly untilMs: number | null;
}

const Answer = z.looseObject({
  check: z.string(),
  service: z.string(),
  question: z.string(),
  verdict: z.enum(['passed', 'failed', 'error']).optional(),
  tests: z.looseObject({ passed: z.number(), failed: z.number(), skipped: z.number() }).nullish(),
  until: z.iso.datetime().nullish(),
  at: z.iso.datetime(),
});

/** The latest answer to each question. */
export function answersStated(statements: readonly Statement[]): ReadonlyMap<string, StatedAnswer> {
  const answers = new Map<string, StatedAnswer>();
  for (const { predicateType, predicate, link } of statements) {
    const read = predicateType === PREDICATES.test ? Answer.safeParse(predicate[DETAILS.check]) : null;
    if (read?.success !== true || link === null) continue;
    const { check, service, question, verdict = 'failed', tests } = read.data;
    const at = Date.parse(read.data.at);
    if (at < (answers.get(question)?.at ?? -Infinity)) continue;
    const { sequence } = link;
    const said = predicate['result'] === 'PASSED' ? 'passed' : verdict === 'error' ? 'error' : 'failed';
    const counts = tests ? ` (${tests.passed} of ${tests.passed + tests.failed} tests passed)` : '';
    const summary = `${said === 'error' ? 'no answer' : said}${counts}`;
    const untilMs = read.data.until ? Date.parse(read.data.until) : null;
    const evidence = `statement ${sequence}`;
    answers.set(question, { evidence, sequence, check, service, verdict: said, summary, at, untilMs });
  }
  return answers;
}

/** For each check that a gate names, what is known of it. */
export function evidenceStated(
  answers: ReadonlyMap<string, StatedAnswer>,
  { gates }: Terms,
): Record<string, AnswerFacts[]> {
  const each = gates.flatMap((gate) =>
    gate.kind !== 'check'
      ? []
      : [
          [
            gate.name,
            gate.asks.map(({ known, ...ask }) => ({ ...ask, latest: latestOf(answers, ask.question, known) })),
          ] as const,
        ],
  );
  return Object.fromEntries(each);
}

/** What is of the image itself is as it is stated; what is not, as it was known. */
export function contractsStated(
  answers: ReadonlyMap<string, StatedAnswer>,
  { gates, service }: Terms,
): PromotionFacts['contracts'] {
  const contracts = gates.find((gate) => gate.kind === 'can-i-deploy')?.contracts ?? null;
  if (contracts === null) return null;
  const named = ({ known, ...ask }: (typeof contracts)['written'][number]): NamedAnswer => {
    const isOwn = ask.service === service && ask.there === null;
    return { ...ask, latest: latestOf(isOwn ? answers : new Map(), ask.question, known) };
  };
  return {
    written: contracts.written.map(named),
    pairs: contracts.pairs.map((pair) => ({ ...pair, verified: pair.verified && pair.verified.map(named) })),
  };
}

type Known = Extract<TermsGate, { kind: 'check' }>['asks'][number]['known'];

function latestOf(
  answers: ReadonlyMap<string, StatedAnswer>,
  question: string | null,
  known: Known,
): AnswerFacts['latest'] {
  if (known !== undefined) {
    const { untilMs, ...rest } = known;
    const until = untilMs === undefined ? {} : { untilMs };
    return { ...rest, ...until, evidence: 'policy', summary: `${known.verdict} when it was asked` };
  }
  const answer = question === null ? undefined : answers.get(question);
  if (answer === undefined) return null;
  const { evidence, verdict, at, summary, untilMs } = answer;
  return { evidence, verdict, at, summary, ...(untilMs === null ? {} : { untilMs }) };
}
