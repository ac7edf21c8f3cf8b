import type { VerifiedStatement } from '../../attestation/chain.ts';
import {
  approvalClaim,
  type Claim,
  decisionClaim,
  policyClaim,
  testClaim,
  yankClaim,
} from '../../attestation/predicates.ts';
import { readStatement, type StatementToWrite, writeStatement } from '../../attestation/statement.ts';
import { type Digest, sha256, sha256Hex } from '../../lib/digest.ts';
import type { ApprovalFacts, PromotionFacts } from '../facts.ts';
import { termsOf } from '../terms.ts';
import { NOW } from './facts.ts';

/** What statements of a test are about: two images of one release, and a base that has none of its own. */
export const PROMOTION = 'pro_1';
export const FINGERPRINT = sha256Hex('web and api');
export const CIRCUMSTANCES = sha256Hex('as it is configured');
export const SERVICES = ['web', 'api'] as const;
const IMAGE = sha256('an image');
const COMMIT = 'c'.repeat(40);

export function policyOfFacts(facts: PromotionFacts, service = 'web', at = NOW): Claim {
  const terms = termsOf(facts, {
    project: 'shop',
    service,
    services: SERVICES,
    fingerprint: FINGERPRINT,
    circumstances: CIRCUMSTANCES,
  });
  return policyClaim({ environment: facts.environment.name, promotion: PROMOTION, terms, at: new Date(at) });
}

export function answerClaim(
  verdict: 'passed' | 'failed' | 'error',
  {
    check = 'unit',
    service = 'web',
    question = 'q',
    at = NOW - 3_600_000,
    untilMs = null,
  }: { check?: string; service?: string; question?: string; at?: number; untilMs?: number | null } = {},
): Claim {
  return testClaim({
    check,
    verdict,
    question,
    project: 'shop',
    service,
    environment: null,
    commit: COMMIT,
    tests: null,
    failedTests: [],
    until: untilMs === null ? null : new Date(untilMs),
    at: new Date(at),
  });
}

export function voiceClaim({ by, verdict, comment, at, forThis }: ApprovalFacts, promotion = PROMOTION): Claim {
  return approvalClaim({
    by,
    verdict,
    comment,
    circumstances: forThis ? CIRCUMSTANCES : sha256Hex('as it was configured'),
    project: 'shop',
    environment: 'prod',
    promotion,
    release: 7,
    commit: COMMIT,
    fingerprint: FINGERPRINT,
    at: new Date(at),
  });
}

export function barClaim(state: 'yanked' | 'unyanked', reason = 'wrong tax', fingerprint = FINGERPRINT): Claim {
  return yankClaim({
    state,
    reason: state === 'yanked' ? reason : null,
    by: 'olga',
    project: 'shop',
    release: 7,
    commit: COMMIT,
    fingerprint,
    at: new Date(NOW),
  });
}

export function liveClaim(environment: string, fingerprint = FINGERPRINT): Claim {
  return decisionClaim({
    verdict: 'live',
    kind: 'promotion',
    project: 'shop',
    environment,
    promotion: 'pro_0',
    release: 7,
    commit: COMMIT,
    fingerprint,
    path: null,
    gates: [],
    at: new Date(NOW),
  });
}

/** Texts of statements about an image, each naming the one before. */
export function textsOf(
  claims: readonly Claim[],
  { name = 'shop/web', digest = IMAGE }: { readonly name?: string; readonly digest?: Digest } = {},
): string[] {
  const texts: string[] = [];
  for (const claim of claims) {
    const before = texts.at(-1);
    const link: StatementToWrite['link'] = {
      sequence: texts.length + 1,
      previous: before === undefined ? null : sha256Hex(before),
    };
    texts.push(writeStatement({ ...claim, name, digest, link }));
  }
  return texts;
}

/** As they are when their signatures were verified. */
export function verifiedOf(texts: readonly string[]): VerifiedStatement[] {
  return texts.map((text) => {
    const statement = readStatement(text);
    if (statement === null) throw new Error(`This is no statement: ${text}`);
    return { statement, text };
  });
}
