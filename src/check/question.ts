import type { SourceTree } from '../git/tree.ts';
import { canonicalJson, type Digest, hashOfJson } from '../lib/digest.ts';
import { keyOfParts, type PinnedPart, wishesOf } from './backing.ts';
import type { CheckDefinition } from './check.ts';
import type { CheckKind, CheckVerdict } from './kind.ts';

export interface QuestionParts {
  readonly check: CheckDefinition;
  readonly kind: CheckKind;
  readonly service: string;
  /** Service -> digest: what it is asked of. */
  readonly digests: Readonly<Record<string, Digest>>;
  readonly source: SourceTree;
  /** What runs beside it. */
  readonly parts: readonly PinnedPart[];
  /** What the environment adds to the answer, for a question that is asked of a deployment; else null. */
  readonly environment: Readonly<Record<string, string>> | null;
  /** What it is compared with, for a question that compares. */
  readonly against?: Readonly<Record<string, unknown>>;
}

/**
 * The identity of a question: equal exactly when the definition, the tests, the digests under test, what runs beside it,
 * the environment's configuration and what is compared with are. Neither the check's name nor its time limit is part of it, nor any commit.
 */
export function questionOf({
  check,
  kind,
  service,
  digests,
  source,
  parts,
  environment,
  against,
}: QuestionParts): string {
  return hashOfJson({
    v: 1,
    kind: kind.name,
    version: kind.version,
    during: check.during,
    definition: check.definition,
    ...(check.retries === 0 ? {} : { retries: check.retries }), // who may try more often asks for less
    ...(parts.length === 0 ? {} : { beside: keyOfParts(parts) }),
    service,
    tests: kind.inputs(check.definition, source).map(({ mode, oid, path }) => [mode, oid, path]),
    digests,
    environment,
    ...(against === undefined ? {} : { against }),
  });
}

/** What the answer about one pact is called, `contracts/web@1f2e3d4`: a check that verifies pacts has one for each. */
export function nameOfPact(
  check: string,
  { consumer, digest }: { readonly consumer: string; readonly digest: string },
): string {
  return `${check}/${consumer}@${digest.slice(0, 7)}`;
}

/** What a check asks of whatever is built, before anything is: its definition and its tests. */
export function buildQuestionOf(parts: Pick<QuestionParts, 'check' | 'kind' | 'source' | 'parts'>): string {
  return questionOf({ ...parts, service: '', digests: {}, environment: null });
}

/** An unchanged question is not asked twice; one that was never answered, or only by an error, is. */
export function mustAsk(check: CheckDefinition, latest: { readonly verdict: CheckVerdict } | null): boolean {
  return check.always || latest === null || latest.verdict === 'error';
}

/** The parts in which two definitions ask something else, such as `run`; empty when they ask the same of the same tests. */
export function differenceOf(one: CheckDefinition, other: CheckDefinition): string[] {
  if (one.kind !== other.kind) return ['kind'];
  const [here, there] = [partsOf(one), partsOf(other)];
  const names = [...new Set([...here.keys(), ...there.keys()])];
  return names.filter((name) => here.get(name) !== there.get(name));
}

function partsOf({ during, retries, backing, definition }: CheckDefinition): Map<string, string> {
  const parts = Object.entries({ during, retries, with: wishesOf(backing), ...Object(definition) } as Record<
    string,
    unknown
  >);
  return new Map(parts.filter(([, part]) => part !== undefined).map(([name, part]) => [name, canonicalJson(part)]));
}
