import { z } from 'zod';

import { authorshipOf, strangersOf } from './authorship.ts';
import type { AnswerFacts, ContractFacts, NamedAnswer, PromotionFacts } from './facts.ts';
import type { Gate } from './gate.ts';
import { called, peopleOf } from './gates/approvals.ts';
import { holds, namesFor } from './rule.ts';

/*
 * What an environment asks of one image of a release, without the answers, which are stated one by one: with them it gives
 * the facts of a decision again where there is no server. No name or address of an author is in it, no subject of a commit,
 * nothing that a program printed. Every part is strict: what a newer server says that this one does not know makes the
 * terms unreadable, and then nothing is allowed by them.
 */

const Window = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('once'), fromMs: z.number(), untilMs: z.number(), reason: z.string().optional() }),
  z.strictObject({
    kind: z.literal('weekly'),
    days: z.array(z.int().min(0).max(6)),
    fromMinute: z.number(),
    untilMinute: z.number(),
    zone: z.string(),
    reason: z.string().optional(),
  }),
]);

const Asked = z.strictObject({
  service: z.string(),
  asked: z.enum(['same', 'otherwise', 'only-here', 'only-there']),
  differs: z.array(z.string()),
  question: z.string().nullable(),
  /** Of what lies beside another image: the latest, as it was known when this was stated. */
  known: z
    .strictObject({ verdict: z.enum(['passed', 'failed', 'error']), at: z.number(), untilMs: z.number().optional() })
    .optional(),
});

const Contract = Asked.extend({ check: z.string(), there: z.string().nullable() });

const Contracts = z.strictObject({
  written: z.array(Contract),
  pairs: z.array(
    z.strictObject({
      consumer: z.string(),
      provider: z.string(),
      pact: z.string(),
      consumerThere: z.string().nullable(),
      verified: z.array(Contract).nullable(),
    }),
  ),
});

const TermsGate = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('unchanged'),
    how: z.enum(['same', 'unknown', 'differs']),
    /** Nothing ran there that it could have been tested against. */
    isFirst: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('can-i-deploy'), contracts: Contracts.nullable() }),
  z.strictObject({
    kind: z.literal('check'),
    name: z.string(),
    freshMs: z.number().optional(),
    /** Empty: nobody asks it of anything, so nothing can prove it. */
    asks: z.array(Asked),
  }),
  z.strictObject({
    kind: z.literal('approvals'),
    /** How those are called who may approve. */
    of: z.string(),
    /** They, each with what is known of their hand in it. */
    people: z.array(z.strictObject({ user: z.string(), hand: z.enum(['wrote', 'other', 'unknown']) })),
    /** How many authors are nobody that is known. */
    strangers: z.int().nonnegative().max(100_000),
    count: z.number(),
    expiresMs: z.number(),
  }),
  z.strictObject({ kind: z.literal('soak'), ms: z.number() }),
  z.strictObject({ kind: z.literal('freeze'), windows: z.array(Window) }),
  /** It speaks of authors and of what runs there, so its answer is stated with it. */
  z.strictObject({
    kind: z.literal('rule'),
    rule: z.string(),
    says: z.string(),
    answer: z.enum(['yes', 'no', 'unanswered']),
  }),
]);

export type TermsGate = z.infer<typeof TermsGate>;

export const Terms = z.strictObject({
  v: z.literal(1),
  project: z.string(),
  service: z.string(),
  release: z.strictObject({
    name: z.string(),
    fingerprint: z.string(),
    mixed: z.boolean(),
    yanked: z.string().nullable(),
    /** Those that have an image; each has terms of its own. */
    services: z.array(z.string()),
  }),
  accepts: z.enum(['path', 'any']),
  protectedBranch: z.string(),
  /** What it would run under, as a hash: an approval counts for that. */
  circumstances: z.string(),
  /** The environments before it, one of which it must have lived in. */
  before: z.array(z.strictObject({ name: z.string(), ranMs: z.number().nullable(), runsNow: z.boolean() })),
  gates: z.array(TermsGate),
});

export type Terms = z.infer<typeof Terms>;

export interface TermsAbout {
  readonly project: string;
  readonly service: string;
  readonly services: readonly string[];
  readonly fingerprint: string;
  readonly circumstances: string;
}

/** @param facts with which a promotion was looked at */
export function termsOf(facts: PromotionFacts, about: TermsAbout): Terms {
  const { project, service, services, fingerprint, circumstances } = about;
  const { name, mixed, yanked } = facts.release;
  return {
    v: 1,
    project,
    service,
    release: { name, fingerprint, mixed, yanked, services: [...services] },
    accepts: facts.environment.accepts,
    protectedBranch: facts.protectedBranch,
    circumstances,
    before: facts.environment.from.map(
      (before) =>
        facts.predecessors.find((one) => one.name === before) ?? { name: before, ranMs: null, runsNow: false },
    ),
    gates: facts.environment.gates.flatMap((gate) => termsGate(gate, facts, about)),
  };
}

function termsGate(gate: Gate, facts: PromotionFacts, about: TermsAbout): TermsGate[] {
  switch (gate.kind) {
    case 'check': {
      const answers = facts.evidence[gate.name] ?? [];
      const others = about.services.filter((service) => service !== about.service);
      const asks = answers.filter(({ service }) => !others.includes(service)).map((answer) => asked(answer, about));
      return asks.length === 0 && answers.length > 0 ? [] : [{ ...gate, asks }]; // else it is asked of the other images
    }
    case 'approvals': {
      const { count, expiresMs } = gate;
      const people = peopleOf(gate, facts).map((user) => ({ user, hand: authorshipOf(user, facts) }));
      return [{ kind: 'approvals', of: called(gate), people, strangers: strangersOf(facts).length, count, expiresMs }];
    }
    case 'freeze':
      return [{ kind: 'freeze', windows: gate.windows.map((window) => Window.parse(window)) }];
    case 'can-i-deploy':
      return [{ kind: 'can-i-deploy', contracts: facts.contracts && contractsOf(facts.contracts, about) }];
    case 'rule': {
      const answer = holds(gate.rule, namesFor(facts));
      return [{ ...gate, answer: typeof answer === 'object' ? 'unanswered' : answer ? 'yes' : 'no' }];
    }
    case 'unchanged':
      return [{ kind: 'unchanged', how: facts.unchanged.kind, isFirst: facts.order === 'first' }];
    case 'soak':
      return [gate];
    default:
      return gate satisfies never;
  }
}

/** Of each pair all answers, for what one service expects of another lies beside the one of them or the other. */
function contractsOf({ written, pairs }: ContractFacts, about: TermsAbout): z.infer<typeof Contracts> {
  const named = (answer: NamedAnswer) => ({
    ...asked(answer, answer.there === null ? about : null),
    check: answer.check,
    there: answer.there,
  });
  return {
    written: written.map(named),
    pairs: pairs.map((pair) => ({ ...pair, verified: pair.verified && pair.verified.map(named) })),
  };
}

/** @param about null where it is no part of the release */
function asked(
  { service, asked: how, differs, question, latest }: AnswerFacts,
  about: TermsAbout | null,
): z.infer<typeof Asked> {
  const one = { service, asked: how, differs: [...differs], question };
  if (latest === null || service === about?.service) return one;
  const { verdict, at, untilMs } = latest;
  return { ...one, known: { verdict, at, ...(untilMs === undefined ? {} : { untilMs }) } };
}

/**
 * What of them decides, without what becomes otherwise by the mere passing of time: they are stated anew when it changes.
 * How long something ran counts by which soaks it has done.
 */
export function decidingPart({ release, before, gates, ...rest }: Terms): object {
  const soaks = gates.flatMap((gate) => (gate.kind === 'soak' ? [gate.ms] : []));
  const { fingerprint, mixed, services } = release;
  return {
    ...rest,
    gates,
    release: { fingerprint, mixed, services },
    before: before.map(({ name, ranMs }) => [name, ranMs === null ? null : soaks.filter((ms) => ranMs >= ms)]),
  };
}
