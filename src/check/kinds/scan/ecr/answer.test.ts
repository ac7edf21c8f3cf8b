import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { cases } from '../../../../lib/testing/cases.ts';
import { askScan } from '../testing/ask-scan.ts';
import { ecrFindings, withEcr } from '../testing/ecr-server.ts';
import { type FindingsPage, Page, scannedBy } from './answer.ts';

const NOW = Date.UTC(2026, 10, 30);
const glibc = { name: 'CVE-1', severity: 'HIGH', attributes: [{ key: 'package_name', value: 'glibc' }] };

describe('a state says what was found out', () => {
  const of = (status: string, findings: object | null = null): object => ({
    imageScanStatus: { status, description: 'as ECR says.' },
    ...(findings === null ? {} : { imageScanFindings: findings }),
  });
  test.each<[string, object, string, RegExp]>([
    ['COMPLETE', of('COMPLETE', ecrFindings([], NOW)), 'pass', /^nothing high or worse/],
    ['ACTIVE', of('ACTIVE', ecrFindings([], NOW)), 'pass', /^nothing high or worse/],
    ['COMPLETE without a day', of('COMPLETE', { findings: [] }), 'error', /does not say when it scanned/],
    ['COMPLETE without findings', of('COMPLETE'), 'error', /does not say when it scanned/],
    [
      'COMPLETE that counts what it does not name',
      of('COMPLETE', { ...ecrFindings([], NOW), findingSeverityCounts: { HIGH: 1 } }),
      'error',
      /counted findings, and named none/,
    ],
    [
      'COMPLETE long ago',
      of('COMPLETE', ecrFindings([], NOW, { daysAgo: 9 })),
      'stale-db',
      /rests upon a scan by Amazon ECR of 2026-11-21/,
    ],
    [
      'COMPLETE by what was known long ago',
      of('COMPLETE', { ...ecrFindings([], NOW), vulnerabilitySourceUpdatedAt: (NOW - 9 * 86_400_000) / 1000 }),
      'stale-db',
      /of 2026-11-21, which may be at most 1w old/,
    ],
    ['FAILED', of('FAILED'), 'error', /could not scan the image \(FAILED: as ECR says\.\)/],
    ['UNSUPPORTED_IMAGE', of('UNSUPPORTED_IMAGE'), 'no-data', /nothing to say of the image \(UNSUPPORTED_IMAGE/],
    [
      'SCAN_ELIGIBILITY_EXPIRED',
      of('SCAN_ELIGIBILITY_EXPIRED', ecrFindings([], NOW)),
      'no-data',
      /SCAN_ELIGIBILITY_EXPIRED/,
    ],
    ['FINDINGS_UNAVAILABLE', of('FINDINGS_UNAVAILABLE'), 'no-data', /FINDINGS_UNAVAILABLE/],
    ['LIMIT_EXCEEDED', of('LIMIT_EXCEEDED'), 'no-data', /LIMIT_EXCEEDED/],
    ['IMAGE_ARCHIVED', of('IMAGE_ARCHIVED'), 'no-data', /IMAGE_ARCHIVED/],
    ['one that is new', of('SOMETHING_NEW', ecrFindings([], NOW)), 'no-data', /SOMETHING_NEW/],
    [
      'an expired scan that found something',
      of('SCAN_ELIGIBILITY_EXPIRED', ecrFindings([glibc], NOW)),
      'fail',
      /by CVE-1, high/,
    ],
    [
      'an expired scan that found little',
      of('SCAN_ELIGIBILITY_EXPIRED', ecrFindings([{ ...glibc, severity: 'LOW' }], NOW)),
      'no-data',
      /^Amazon ECR's scan of the image does not count \(SCAN_ELIGIBILITY_EXPIRED\)/,
    ],
  ])('%s', async (_, page, state, words) => {
    const { value } = await withEcr([page], (ecr) =>
      askScan({ layers: [[]], wish: { scanner: 'ecr' }, ecr, nowMs: NOW }),
    );
    const { answer } = value;
    expect(answer.summary).toMatch(words);
    expect(answer.scan).toMatchObject({ state, againMs: expect.any(Number) as number });
  });

  test.each([
    of('PENDING'),
    of('IN_PROGRESS', ecrFindings([glibc], NOW)),
    of('ACTIVE'),
    of('ACTIVE', { enhancedFindings: [] }),
  ])('one that is under way says nothing: %j', (page) => {
    const asked = { installed: [], ecosystems: undefined, nowMs: NOW };
    expect(scannedBy([Page.parse(page)], asked)).toBe('under-way');
  });

  test.each([
    ['CRITICAL', 'critical'],
    ['HIGH', 'high'],
    ['MEDIUM', 'medium'],
    ['LOW', 'low'],
    ['INFORMATIONAL', 'low'],
    ['UNDEFINED', 'unrated'],
    ['UNTRIAGED', 'unrated'],
    ['WORSE', 'unrated'],
    [undefined, 'unrated'],
  ])('a severity of %s is %s', (severity, rating) => {
    const page = Page.parse(of('COMPLETE', ecrFindings([{ ...glibc, severity }], NOW)));
    expect(scannedBy([page], { installed: [], ecosystems: undefined, nowMs: NOW })).toMatchObject({
      vulnerabilities: [{ rating }],
    });
  });
});

test('only a scan that came to its end and has a day ever passes', () => {
  const statuses = [
    'COMPLETE',
    'ACTIVE',
    'FAILED',
    'PENDING',
    'IN_PROGRESS',
    'UNSUPPORTED_IMAGE',
    'LIMIT_EXCEEDED',
    '',
  ];
  const anyPage: fc.Arbitrary<FindingsPage> = fc.record({
    imageScanStatus: fc.record({ status: fc.constantFrom(...statuses), description: fc.constant('') }),
    imageScanFindings: fc.option(
      fc.record({
        imageScanCompletedAt: fc.option(fc.integer({ min: NOW - 20 * 86_400_000, max: NOW })),
        vulnerabilitySourceUpdatedAt: fc.option(fc.integer({ min: NOW - 20 * 86_400_000, max: NOW })),
        findingSeverityCounts: fc.option(fc.dictionary(fc.constantFrom('HIGH', 'LOW'), fc.nat(2))),
        findings: fc.option(fc.constantFrom([], [{ name: 'CVE-1', uri: null, severity: 'HIGH', attributes: null }])),
        enhancedFindings: fc.constantFrom(null, []),
      }),
    ),
    nextToken: fc.constant(null),
  });
  fc.assert(
    fc.property(fc.array(anyPage, { maxLength: 2 }), (pages) => {
      const scanned = scannedBy(pages, { installed: [], ecosystems: undefined, nowMs: NOW });
      const saysNothingFound =
        typeof scanned === 'object' &&
        scanned.kind === 'scanned' &&
        scanned.unseen === null &&
        scanned.vulnerabilities.length === 0;
      if (!saysNothingFound) return;
      const [first] = pages;
      expect(['COMPLETE', 'ACTIVE']).toContain(first?.imageScanStatus.status);
      expect(scanned.database.atMs).toBeLessThanOrEqual(first?.imageScanFindings?.imageScanCompletedAt ?? 0);
      expect(pages.flatMap(({ imageScanFindings: of }) => of?.findings ?? [])).toEqual([]);
    }),
    cases(500),
  );
});
