import type { Claim } from '../predicates.ts';
import {
  approvalClaim,
  buildClaim,
  decisionClaim,
  packagesClaim,
  policyClaim,
  testClaim,
  yankClaim,
} from '../predicates.ts';

const at = new Date(Date.UTC(2030, 0, 1));
const key = 'ab'.repeat(32);
const about = {
  project: 'shop',
  environment: 'prod',
  promotion: 'pro_1',
  release: 7,
  commit: 'c'.repeat(40),
  fingerprint: key,
};
const decided = { ...about, kind: 'promotion' as const, gates: ['unit'], at };

/** One of each kind that there is. */
export const CLAIMS: Readonly<Record<string, Claim>> = {
  passed: testClaim({
    ...about,
    check: 'unit',
    service: 'web',
    verdict: 'passed',
    question: key,
    environment: null,
    tests: { passed: 3, failed: 0, skipped: 0 },
    failedTests: [],
    until: new Date(at.getTime() + 86_400_000),
    at,
  }),
  failed: testClaim({
    ...about,
    check: 'smoke',
    service: 'web',
    verdict: 'failed',
    question: key,
    tests: { passed: 1, failed: 1, skipped: 0 },
    failedTests: ['sells a book'],
    until: null,
    at,
  }),
  build: buildClaim({
    ...about,
    builder: 'node',
    repository: 'https://git.example/shop',
    service: 'web',
    key,
    pins: { 'docker.io/library/node:22': `sha256:${key}` },
    parents: { base: key },
    isolation: 'bwrap',
    log: 'log_1',
    beganAt: at,
    at,
  }),
  live: decisionClaim({ ...decided, verdict: 'live', path: about.commit }),
  refused: decisionClaim({ ...decided, verdict: 'refused', path: null }),
  approval: approvalClaim({ ...about, verdict: 'approved', by: 'olga', comment: 'fine', circumstances: key, at }),
  yank: yankClaim({ ...about, state: 'yanked', reason: 'it loses orders', by: 'olga', at }),
  packages: packagesClaim({
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    components: [{ type: 'library', name: 'lodash', version: '4.17.21', purl: 'pkg:npm/lodash@4.17.21' }],
  }),
  policy: policyClaim({ environment: 'prod', promotion: 'pro_1', terms: { v: 1 }, at }),
};
