import { nameOfPact } from '../../check/question.ts';
import { environmentOf } from '../../environment/place.ts';
import type { ContractFacts, NamedAnswer, PairFacts, PromotionFacts } from '../facts.ts';
import type { GateVerdict } from '../policy.ts';
import { spokenDifference } from './check.ts';

const GATE = 'can-i-deploy';
const ASK_AGAIN_MS = 60_000;

/** One thing that is to be said of the contracts. */
interface Saying {
  readonly kind: GateVerdict['kind'];
  readonly what: string;
  readonly fix?: string;
  /** It waits for an answer that whoever asks will get. */
  readonly isAsked?: boolean;
  readonly answers: readonly NamedAnswer[];
}

/**
 * Each service that would run there keeps to what each other service expects of it: what the release brings, and what runs beside
 * it. What is not known is no yes; what the protected branch does not ask in the same words neither.
 */
export function decideContracts(facts: PromotionFacts): GateVerdict {
  const { contracts } = facts;
  if (contracts === null) return { kind: 'wait', reason: { gate: GATE, what: 'The contracts were not looked at.' } };
  const sayings = sayingsOf(contracts, facts);
  const worst = (['refuse', 'wait', 'pass'] as const).find((kind) => sayings.some((one) => one.kind === kind));
  const said = sayings.filter(({ kind }) => kind === worst);
  const fix = said.find((one) => one.fix !== undefined)?.fix;
  const reason = {
    gate: GATE,
    what: said.map(({ what }) => what).join(' '),
    ...(fix === undefined ? {} : { fix }),
    evidence: said.flatMap(({ answers }) => answers.flatMap(({ latest }) => latest?.evidence ?? [])),
  };
  if (worst === undefined) return { kind: 'pass', reason: { gate: GATE, what: nothing(facts) } };
  if (worst === 'pass') return { kind: 'pass', reason };
  if (worst === 'refuse') return { kind: 'refuse', reason };
  const asked = said.filter(({ isAsked }) => isAsked === true);
  const questions = asked.flatMap(({ answers }) => answers.flatMap(({ question }) => question ?? [])).toSorted();
  const checks = asked.length === 0 ? [] : [{ check: GATE, questions }];
  return { kind: 'wait', reason, checks, wakeAtMs: facts.now + ASK_AGAIN_MS };
}

function nothing(facts: PromotionFacts): string {
  return `Nothing of ${facts.release.name} has a contract with what would run in ${where(facts)}.`;
}

function sayingsOf({ written, pairs }: ContractFacts, facts: PromotionFacts): Saying[] {
  return [
    ...written.flatMap((answer) => sayingOf(answer, facts, sayWritten) ?? []),
    ...pairs.flatMap((pair) => sayPair(pair, facts)),
  ];
}

/** Of one answer: bad ones first, then what does not count, then what is missing. */
function sayingOf(
  answer: NamedAnswer,
  facts: PromotionFacts,
  say: (answer: NamedAnswer, facts: PromotionFacts) => Omit<Saying, 'answers'> | null,
): Saying | null {
  const { latest, asked, check } = answer;
  const answers = [answer];
  if ((latest === null || latest.verdict === 'passed') && asked !== 'same') {
    const branch = facts.protectedBranch;
    return {
      // what came by itself may be taken in before the protected branch is: it waits for that
      kind: facts.promotion.automatic ? 'wait' : 'refuse',
      what: `What ${answer.there ?? facts.release.name} says of ${check} does not count in ${where(facts)}: ${spokenDifference(answer, check, branch)}.`,
      fix: `Merge the change of the check into ${branch}, or ask what ${branch} asks and push.`,
      answers,
    };
  }
  const said = say(answer, facts);
  return said === null ? null : { ...said, answers };
}

/** Contracts that are known are told with whoever keeps to them. */
function sayWritten(
  { service, check, latest, there }: NamedAnswer,
  facts: PromotionFacts,
): Omit<Saying, 'answers'> | null {
  if (latest === null)
    return {
      kind: 'wait',
      what: `What ${service} expects of others is not known yet: ${check} is being asked.`,
      isAsked: true,
    };
  if (latest.verdict === 'passed') return null;
  return {
    kind: 'refuse',
    what: `What ${service} expects of others is not known, for ${check} ${latest.verdict === 'failed' ? 'failed' : 'could not be answered'}: ${latest.summary}`,
    fix: howTo(check, check, facts, there),
  };
}

function sayPair(pair: PairFacts, facts: PromotionFacts): Saying[] {
  const { consumer, provider, verified } = pair;
  const [name, { promotion }] = [where(facts), facts];
  const there = whoIs(consumer, pair.consumerThere, name);
  if (verified === null)
    return [
      {
        kind: promotion.automatic ? 'wait' : 'refuse',
        what: `${there} expects something of ${provider}, which does not run in ${name}.`,
        fix: `Promote ${provider} to ${name} first; where another service is meant, \`names\` beside \`pacts\` says which.`,
        answers: [],
      },
    ];
  if (verified.length === 0)
    return [
      {
        kind: 'refuse',
        what: `${there} expects something of ${provider}, and no check says that ${provider} keeps to it.`,
        fix: `Give ${provider} a check such as \`contracts: { pact: { port: 3000 } }\`, and push.`,
        answers: [],
      },
    ];
  return verified.flatMap((answer) => sayingOf(answer, facts, (one) => sayVerified(one, pair, facts)) ?? []);
}

function sayVerified(
  { check, latest, there }: NamedAnswer,
  { consumer, provider, pact, consumerThere }: PairFacts,
  facts: PromotionFacts,
): Omit<Saying, 'answers'> {
  const name = where(facts);
  const [one, other] = [whoIs(provider, there, name), whoIs(consumer, consumerThere, name)];
  if (latest === null)
    return {
      kind: 'wait',
      what: `Whether ${one} keeps to what ${other} expects is not known yet: ${check} is being asked.`,
      isAsked: true,
    };
  if (latest.verdict === 'passed') return { kind: 'pass', what: `${one} keeps to what ${other} expects.` };
  const log = howTo(nameOfPact(check, { consumer, digest: pact }), check, facts, there);
  if (latest.verdict === 'error')
    return {
      kind: 'refuse',
      what: `Whether ${one} keeps to what ${other} expects could not be found out (${check}): ${latest.summary}`,
      fix: log,
    };
  const mend =
    there === null
      ? `Let ${provider} answer as ${consumer} expects, or let ${consumer} expect less, and push.`
      : `Promote a release whose ${provider} answers so to ${name} first, or let ${consumer} expect what runs there.`;
  return {
    kind: 'refuse',
    what: `${one} does not keep to what ${other} expects (${check}): ${latest.summary}`,
    fix: `${mend} ${log}`,
  };
}

/** The environment of whichever repository's place. */
function where({ environment }: PromotionFacts): string {
  return environmentOf(environment.name);
}

function whoIs(service: string, there: string | null, environment: string): string {
  return there === null ? service : `${service} of ${there}, which runs in ${environment},`;
}

function howTo(logged: string, check: string, { release }: PromotionFacts, there: string | null): string {
  const word = there ?? (release.mixed ? 'RELEASE' : release.name);
  return `\`towpath logs ${word} ${logged}\` shows what was said; \`towpath test ${word} ${check}\` asks it again.`;
}
