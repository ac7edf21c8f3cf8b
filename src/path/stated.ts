import { z } from 'zod';

import { DETAILS } from '../attestation/predicates.ts';
import { PREDICATES, type Statement } from '../attestation/statement.ts';
import { environmentOf, storedName } from '../environment/place.ts';
import type { ApprovalFacts, GitIdentity, PromotionFacts, UnchangedFacts } from './facts.ts';
import type { Gate } from './gate.ts';
import type { RuleAnswer } from './rule.ts';
import { contractsStated, evidenceStated, type StatedAnswer } from './stated-answers.ts';
import { Terms, type TermsGate } from './terms.ts';

/** The newest statement of what an environment asks of an image. */
export interface StatedTerms {
  /** The place: `qa.api` of a member's image. */
  readonly environment: string;
  readonly terms: Terms;
  readonly promotion: string;
  readonly atMs: number;
  readonly sequence: number;
}

const Policy = z.looseObject({
  environment: z.string(),
  promotion: z.string(),
  terms: z.unknown(),
  at: z.iso.datetime(),
});

/**
 * @param statements all about the image, in order
 * @returns null when nothing was ever asked there; `unreadable` when the newest is not understood
 */
export function termsStated(statements: readonly Statement[], environment: string): StatedTerms | 'unreadable' | null {
  const newest = statements.findLast(
    ({ predicateType, predicate }) =>
      predicateType === PREDICATES.policy && isMeant(predicate['environment'], environment),
  );
  if (newest === undefined) return null;
  const policy = Policy.safeParse(newest.predicate);
  const terms = Terms.safeParse(policy.data?.terms);
  if (!policy.success || !terms.success) return 'unreadable';
  const { environment: place, promotion, at } = policy.data;
  return {
    environment: place,
    terms: terms.data,
    promotion,
    atMs: Date.parse(at),
    sequence: newest.link?.sequence ?? 0,
  };
}

/** The releases of one repository go to one place of an environment, so its name alone says enough. */
function isMeant(place: unknown, environment: string): boolean {
  return typeof place === 'string' && (place === storedName(environment) || environmentOf(place) === environment);
}

export interface StatedWith {
  /** Question -> its latest answer. */
  readonly answers: ReadonlyMap<string, StatedAnswer>;
  readonly now: number;
}

/**
 * The facts of a decision out of what is stated about an image and nothing else, for a person who asks. What bars only what
 * comes by itself (a hold, the order, a failure there before) is not among them, nor is who works there now.
 */
export function factsStated(
  statements: readonly Statement[],
  { environment, terms, promotion, sequence }: StatedTerms,
  { answers, now }: StatedWith,
): PromotionFacts {
  const { release, gates } = terms;
  const unchanged = gates.find((gate) => gate.kind === 'unchanged');
  const lived = livedIn(statements, release.fingerprint);
  return {
    now,
    promotion: { kind: 'promotion', automatic: false, requestedBy: '' },
    environment: {
      name: environment,
      accepts: terms.accepts,
      from: terms.before.map(({ name }) => name),
      gates: terms.gates.map(gateOf),
      hold: null,
    },
    release: {
      name: release.name,
      state: 'ready',
      problem: null,
      mixed: release.mixed,
      yanked: yankOf(statements, terms, sequence),
      nearest: [],
    },
    order: unchanged?.isFirst === true ? 'first' : 'newer',
    currentName: null,
    predecessors: terms.before.map((one) => ({ ...one, ranMs: one.ranMs ?? (lived.has(one.name) ? 0 : null) })),
    protectedBranch: terms.protectedBranch,
    evidence: evidenceStated(answers, terms),
    contracts: contractsStated(answers, terms),
    approvals: voicesOf(statements, promotion, terms.circumstances),
    ...handsOf(terms.gates),
    committers: [],
    failedHere: null,
    unchanged: UNCHANGED[unchanged?.how ?? 'same'],
    rules: Object.fromEntries(
      gates.flatMap((gate) => (gate.kind === 'rule' ? [[gate.rule, ANSWERS[gate.answer]]] : [])),
    ),
  };
}

const UNCHANGED: Readonly<Record<UnchangedFacts['kind'], UnchangedFacts>> = {
  same: { kind: 'same' },
  unknown: { kind: 'unknown', what: 'The branch that it came from was still being taken in.' },
  differs: {
    kind: 'differs',
    what: 'It is not the image that was tested on its branch.',
    fix: '`towpath why` says what differs. Merge the target branch into the branch, let it be tested, then merge again.',
  },
};

const ANSWERS: Readonly<Record<'yes' | 'no' | 'unanswered', RuleAnswer>> = {
  yes: true,
  no: false,
  unanswered: { unanswered: 'the server could not answer it either, and `towpath why` says why' },
};

function gateOf(gate: TermsGate): Gate {
  switch (gate.kind) {
    case 'check':
      return { kind: 'check', name: gate.name, ...(gate.freshMs === undefined ? {} : { freshMs: gate.freshMs }) };
    case 'approvals':
      return { kind: 'approvals', of: gate.of, count: gate.count, expiresMs: gate.expiresMs };
    case 'freeze':
      return {
        kind: 'freeze',
        windows: gate.windows.map(({ reason, ...window }) => ({
          ...window,
          ...(reason === undefined ? {} : { reason }),
        })),
      };
    case 'can-i-deploy':
      return { kind: 'can-i-deploy' };
    case 'rule':
      return { kind: 'rule', rule: gate.rule, says: gate.says };
    case 'unchanged':
      return { kind: 'unchanged' };
    case 'soak':
      return gate;
    default:
      return gate satisfies never;
  }
}

const Voice = z.looseObject({
  promotion: z.string(),
  by: z.string(),
  verdict: z.enum(['approved', 'rejected']),
  comment: z.string().nullable(),
  circumstances: z.string().nullable(),
  at: z.iso.datetime(),
});

/** The last word of each person about a promotion, the oldest first. */
function voicesOf(statements: readonly Statement[], promotion: string, circumstances: string): ApprovalFacts[] {
  const voices = new Map<string, ApprovalFacts>();
  for (const { predicateType, predicate } of statements) {
    const read = predicateType === PREDICATES.approval ? Voice.safeParse(predicate) : null;
    if (read?.success !== true || read.data.promotion !== promotion) continue;
    const { by, verdict, comment } = read.data;
    const at = Date.parse(read.data.at);
    if (at >= (voices.get(by)?.at ?? -Infinity))
      voices.set(by, { by, verdict, comment, at, forThis: read.data.circumstances === circumstances });
  }
  return [...voices.values()].toSorted((one, other) => one.at - other.at);
}

const Yank = z.looseObject({
  state: z.enum(['yanked', 'unyanked']),
  reason: z.string().nullable(),
  fingerprint: z.string(),
});

/** Barred by the last word about these artifacts, or when the terms were stated and by none since: the worse counts. */
function yankOf(statements: readonly Statement[], { release }: Terms, termsAt: number): string | null {
  const said = statements.flatMap(({ predicateType, predicate, link }) => {
    const read = predicateType === PREDICATES.yank ? Yank.safeParse(predicate).data : undefined;
    return read?.fingerprint === release.fingerprint ? [{ ...read, sequence: link?.sequence ?? 0 }] : [];
  });
  const last = said.at(-1);
  if (last?.state === 'yanked') return last.reason ?? '';
  return last === undefined || last.sequence < termsAt ? release.yanked : null;
}

const Decided = z.looseObject({
  verdict: z.string(),
  kind: z.string(),
  environment: z.string(),
  fingerprint: z.string(),
});

/** The environments that these very artifacts went live in. */
function livedIn(statements: readonly Statement[], fingerprint: string): ReadonlySet<string> {
  return new Set(
    statements.flatMap(({ predicateType, predicate }) => {
      const read = predicateType === PREDICATES.decision ? Decided.safeParse(predicate[DETAILS.decision]) : null;
      if (read?.success !== true) return [];
      const { verdict, kind, environment, fingerprint: its } = read.data;
      return verdict === 'live' && kind !== 'removal' && its === fingerprint ? [environment] : [];
    }),
  );
}

/** Users and authors who stand to each other as those of the terms do; what git calls them is not stated. */
function handsOf(gates: readonly TermsGate[]): Pick<PromotionFacts, 'roles' | 'users' | 'authors'> {
  const asked = gates.filter((gate) => gate.kind === 'approvals');
  const people = asked.flatMap((gate) => gate.people);
  const strangers = Math.max(0, ...asked.map((gate) => gate.strangers));
  const authors = people.flatMap(({ user, hand }): GitIdentity[] =>
    hand === 'wrote' ? [{ name: user, email: '' }] : [],
  );
  const others = Array.from({ length: strangers }, (_, i) => ({
    name: `no. ${i + 1} (whom statements do not name)`,
    email: `${i + 1}@not-stated`,
  }));
  return {
    roles: Object.fromEntries(asked.map(({ of, people: its }) => [of, its.map(({ user }) => user)])),
    users: Object.fromEntries(people.flatMap(({ user, hand }) => (hand === 'unknown' ? [] : [[user, []]]))),
    authors: [...authors, ...others],
  };
}
