import { expect, test } from 'vitest';
import { z } from 'zod';

import type { TestEntry } from '../../../../container/testing/images.ts';
import { scan } from '../scan.ts';
import { type AskedScan, askScan } from '../testing/ask-scan.ts';
import { type EcrAnswer, ecrFindings, ecrFixture, withEcr } from '../testing/ecr-server.ts';

const NOW = Date.UTC(2026, 10, 30);
const DEBIAN: readonly TestEntry[] = [
  { name: 'usr/lib/os-release', content: 'ID=debian\nVERSION_ID="12"\n' },
  { name: 'var/lib/dpkg/status.d/libc6', content: 'Package: libc6\nSource: glibc\nVersion: 2.36-9+deb12u1\n' },
];
const LODASH: TestEntry = {
  name: 'app/node_modules/lodash/package.json',
  content: JSON.stringify({ name: 'lodash', version: '4.17.20' }),
};

test('what basic scanning found of a distribution is told as by any scanner, and nothing of what it does not look at', async () => {
  const { answer, asked, digest } = await ask([await ecrFixture('basic')], { layers: [DEBIAN, [LODASH]] });
  expect(asked).toEqual([
    {
      registryId: '123456789012',
      repositoryName: 'towpath/shop/web',
      imageId: { imageDigest: digest },
      maxResults: 1000,
    },
  ]);
  expect(answer).toMatchObject({
    verdict: 'failed',
    summary:
      '2 vulnerabilities high or worse: e2fsprogs@1.47.0-2 by CVE-2019-5188, not rated: which version mends it is not said; libc6@2.36-9+deb12u1 (of glibc) by CVE-2023-4911, high: which version mends it is not said',
    scan: {
      state: 'fail',
      scanner: 'Amazon ECR',
      database: { at: '2026-11-29', newestMs: Date.UTC(2026, 10, 29, 6) },
      againMs: NOW + 86_400_000,
    },
  });
  const clean = { ...(await ecrFixture('basic')), imageScanFindings: ecrFindings([], NOW) };
  expect((await ask([clean], { layers: [DEBIAN, [LODASH]] })).answer).toMatchObject({
    verdict: 'error',
    summary: expect.stringMatching(/^Amazon ECR's basic scanning looks at no packages of npm: docs/) as string,
    scan: { state: 'no-data' },
  });
  const named = { layers: [DEBIAN, [LODASH]], wish: { ecosystems: ['Debian'] } };
  expect((await ask([clean], named)).answer).toMatchObject({
    verdict: 'passed',
    summary: 'nothing high or worse in 1 package; a scan by Amazon ECR of 2026-11-29',
    scan: { state: 'pass', untilMs: Date.UTC(2026, 11, 6) },
  });
});

test('what enhanced scanning found counts for every kind of package, also what was suppressed there, but not what is closed', async () => {
  const { answer } = await ask([await ecrFixture('enhanced')], { layers: [DEBIAN, [LODASH]] });
  expect(answer.findings).toMatchObject({
    counts: { error: 4, warning: 0, note: 0 },
    first: [
      { rule: 'CVE-2023-42282', where: 'ip@1.1.8 in app/node_modules/ip/package.json' },
      { rule: 'CVE-2021-44228', message: 'critical; upgrade to 2.15.0 or newer' },
      { rule: 'CVE-2022-49043', message: 'high; no version is known to mend it', where: /^libxml2@2.9.14\+dfsg-1.3/ },
      {
        rule: 'CVE-2021-23337',
        message: 'high; upgrade to 4.17.21 or newer',
        where: `lodash@4.17.20 in ${LODASH.name}`,
      },
    ].map((one) => ({
      ...one,
      ...(one.where instanceof RegExp ? { where: expect.stringMatching(one.where) as string } : {}),
    })),
  });
  const npm = (await ask([await ecrFixture('enhanced')], { layers: [DEBIAN, [LODASH]], wish: { ecosystems: ['npm'] } }))
    .answer;
  // Java has no name among the ecosystems: it is always looked at
  expect(npm.findings?.first.map(({ rule }) => rule).sort()).toEqual([
    'CVE-2021-23337',
    'CVE-2021-44228',
    'CVE-2023-42282',
  ]);
});

test('allowances and OpenVEX count as with any scanner; a related vulnerability is no other name', async () => {
  const entry = { owner: 'olga', reason: 'not reached', until: '2026-12-31' };
  const ids = ['CVE-2022-49043', 'CVE-2021-45046', 'CVE-2023-42282'];
  const ruling = JSON.stringify({
    '@context': 'https://openvex.dev/ns/v0.2.0',
    timestamp: '2026-11-29T00:00:00Z',
    statements: [
      { vulnerability: { name: 'CVE-2021-23337' }, products: [{ '@id': 'pkg:npm/lodash' }], status: 'not_affected' },
    ],
  });
  const wish = {
    allow: ids.map((id) => ({ id, ...entry })),
    vex: [{ file: 'vex.json', owner: 'olga', until: '2026-12-31' }],
  };
  const { answer } = await ask([await ecrFixture('enhanced')], { layers: [DEBIAN, [LODASH]], wish, ruling });
  expect(answer).toMatchObject({
    verdict: 'failed',
    summary: expect.stringMatching(/^1 vulnerability high or worse: \S+log4j-core@2.14.1 by CVE-2021-44228/) as string,
    findings: { counts: { error: 1, note: 3 } },
  });
});

test('an image of which nothing is read here is what Amazon ECR says of it', async () => {
  const unread = [[{ name: 'app/server', content: '' }]];
  const answers = [
    { ...(await ecrFixture('enhanced')), imageScanFindings: ecrFindings([], NOW, { list: 'enhancedFindings' }) },
  ];
  expect((await ask(answers, { layers: unread })).answer).toMatchObject({
    verdict: 'passed',
    summary: 'nothing high or worse; a scan by Amazon ECR of 2026-11-29',
  });
  // but where packages are named that are to be looked at, there must be some
  expect((await ask(answers, { layers: unread, wish: { ecosystems: ['Debian'] } })).answer).toMatchObject({
    scan: { state: 'no-data' },
  });
});

test('a list of packages in the image is not for a scanner that looks at the image itself', () => {
  const schema = z.strictObject(scan.fields);
  expect(schema.safeParse({ scan: { scanner: 'ecr', sbom: 'app/bom.json' } }).success).toBe(false);
  expect(schema.safeParse({ scan: { scanner: 'ecr' } }).success).toBe(true);
});

async function ask(
  answers: readonly EcrAnswer[],
  { layers, ...more }: Pick<AskedScan, 'layers' | 'wish' | 'ruling'>,
): Promise<Awaited<ReturnType<typeof askScan>> & { readonly asked: readonly unknown[] }> {
  const { value, asked } = await withEcr(answers, (ecr) =>
    askScan({ layers, ...more, wish: { scanner: 'ecr', ...more.wish }, ecr, nowMs: NOW }),
  );
  return { ...value, asked };
}
