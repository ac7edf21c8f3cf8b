import type { Claim } from '../predicates.ts';
import { approvalClaim, buildClaim, decisionClaim, testClaim, yankClaim } from '../predicates.ts';

const at = new Date(Date.UTC(2030, 0, 1));
const key = 'ab'.repeat(32);
const about = { project: 'shop', environment: 'prod', promotion: 'pro_1', release: 7, commit: 'c'.repeat(40) };

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
  live: decisionClaim({ ...about, verdict: 'live', kind: 'promotion', path: about.commit, gates: ['unit'], at }),
  refused: decisionClaim({ ...about, verdict: 'refused', kind: 'promotion', path: null, gates: ['unit'], at }),
  approval: approvalClaim({ ...about, verdict: 'approved', by: 'olga', comment: 'fine', circumstances: key, at }),
  yank: yankClaim({ ...about, state: 'yanked', reason: 'it loses orders', by: 'olga', fingerprint: key, at }),
};
