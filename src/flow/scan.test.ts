import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { readBeside } from '../attestation/beside.ts';
import { chainOf } from '../attestation/chain.ts';
import { signingKeys } from '../attestation/signing-key-store.ts';
import { PREDICATES } from '../attestation/statement.ts';
import { createVerifier } from '../attestation/verify.ts';
import { parseSbom } from '../check/kinds/scan/sbom/read.ts';
import { withEcr } from '../check/kinds/scan/testing/ecr-server.ts';
import { fixedClock } from '../lib/clock.ts';
import type { Digest } from '../lib/digest.ts';
import { scanAgain } from './care/scan-again.ts';
import type { House } from './house.ts';
import { deliverStatements } from './statements/deliver.ts';
import { releaseOf } from './testing/release-of.ts';
import { createWorld, type World } from './testing/world.ts';
import { until } from './testing/until.ts';

const config = `
services:
  web:
    path: services/web
    build: text
    checks: { vulnerabilities: { scan: {} }, registry: { scan: { scanner: ecr } } }
  api:
    path: services/api
    build: text
    checks: { excused: { scan: { vex: [{ file: security/vex.json, owner: olga, until: 2999-12-31 }] } } }
environments:
  qa: { on: manual, accepts: any, gates: [vulnerabilities], deploy: stage, settle: 0ms }
  cloud: { on: manual, accepts: any, gates: [registry], deploy: stage, settle: 0ms }
  trial: { on: manual, accepts: any, gates: [excused], deploy: stage, settle: 0ms }
  prod: { on: manual, accepts: any, gates: [vulnerabilities], deploy: stage, settle: 0ms, onFailure: { yank: true } }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('scanned', config, { says: { web: 'minimist@1.2.5', api: 'minimist@1.2.5' } });
}, 120_000);
afterAll(() => world.end());

test('without advisories nothing moves in, and it is said', async () => {
  const refused = await world.reaches((await world.request('qa', 'main')).id, 'refused');
  expect(refused.reasons).toMatchObject([
    {
      gate: 'vulnerabilities',
      what: expect.stringMatching(
        /^vulnerabilities could not be answered for \w+: web: this server has no advisories: docs\/guide\/vulnerabilities.md says/,
      ),
    },
  ]);
});

test('a package with a vulnerability is named, with what to do, and its upgrade goes on', async () => {
  await know('npm/GHSA-xvch-5gv4-984h.json');
  await writeFile(join(world.advisories, 'database.json'), JSON.stringify({ date: new Date().toISOString() }));
  const bad = await world.push({ branch: 'bad', from: 'main', says: { web: 'minimist@1.2.4' } });
  const refused = await world.reaches((await world.request('qa', bad)).id, 'refused');
  expect(refused.reasons).toMatchObject([
    {
      what: expect.stringContaining(
        'web: 1 vulnerability high or worse: minimist@1.2.4 by GHSA-xvch-5gv4-984h (CVE-2021-44906), critical: upgrade to 1.2.6 or newer',
      ),
    },
  ]);
  const good = await world.push({ branch: 'good', from: 'main', says: { web: 'minimist@1.2.8 lodash@4.17.20' } });
  await world.reaches((await world.request('qa', good)).id, 'live');
  await world.reaches((await world.request('prod', good)).id, 'live');
});

test('what runs is scanned again when more is known, and is flagged and barred', async () => {
  await scanAgain(world.house); // nothing is new
  const before = await world.environment('prod');
  expect(before).toMatchObject({ revoked: [] });
  await know('npm/GHSA-35jh-r3h4-6jhm.json');
  await scanAgain(world.house);
  await until(async () => ((await world.environment('prod')).revoked.length > 0 ? true : null));
  expect((await world.environment('qa')).revoked).toMatchObject([
    {
      check: 'vulnerabilities',
      service: 'web',
      summary: expect.stringContaining('lodash@4.17.20 by GHSA-35jh-r3h4-6jhm'),
    },
  ]);
  const barred = await world.reaches((await world.request('qa', before.current?.commit ?? '')).id, 'refused');
  expect(barred.headline).toContain('is yanked: vulnerabilities of web failed: 1 vulnerability');
});

test('what a document of the default branch says counts, whatever stands in the commit', async () => {
  const vex = {
    '@context': 'https://openvex.dev/ns/v0.2.0',
    timestamp: '2026-01-01T00:00:00Z',
    statements: [{ vulnerability: 'CVE-2021-44906', products: ['pkg:npm/minimist'], status: 'not_affected' }],
  };
  const files = { 'security/vex.json': JSON.stringify(vex) };
  const branch = await world.push({ branch: 'excused', from: 'main', says: { api: 'minimist@1.2.3' }, files });
  const refused = await world.reaches((await world.request('trial', branch)).id, 'refused');
  expect(refused.headline).toContain('the VEX document security/vex.json is not on the default branch');
  await releaseOf(world, await world.push({ message: 'Say so', files }));
  await world.reaches((await world.request('trial', branch)).id, 'live');
});

test('what the registry scanned is asked again after a day, whatever this server learns', async () => {
  const seconds = Date.now() / 1000;
  const days = { imageScanCompletedAt: seconds, vulnerabilitySourceUpdatedAt: seconds };
  const clean = { imageScanStatus: { status: 'ACTIVE' }, imageScanFindings: { ...days, enhancedFindings: [] } };
  await withEcr([clean], async (ecr) => {
    world.ecr = ecr;
    await world.reaches((await world.request('cloud', 'main')).id, 'live');
  });
  await know('npm/GHSA-78xj-cgh5-2h22.json');
  const askedAfter = async (hours: number): Promise<string[]> => {
    const asked: string[] = [];
    const check: House['starts']['check'] = async (_tx, _release, { check: name }) => void asked.push(name);
    const clock = fixedClock(Date.now() + hours * 3_600_000);
    await scanAgain({ ...world.house, clock, starts: { ...world.house.starts, check } });
    return asked;
  };
  expect(await askedAfter(23)).not.toContain('registry');
  expect(await askedAfter(25)).toContain('registry');
});

test('what was read from an image is stated beside it once, however often it is scanned, and breaks no chain', async () => {
  const { store, registry } = world.house;
  const scans = await store.db
    .selectFrom('evidence')
    .select(['digests', 'service'])
    .where('service', '=', 'web')
    .where('check_name', '=', 'vulnerabilities')
    .execute();
  const digests = scans.map(({ digests: of }) => (of as Record<string, Digest>)['web']);
  const often = digests.find((digest, at) => digests.indexOf(digest) !== at);
  if (often === undefined) throw new Error('No image was scanned twice.');
  await until(async () => {
    await deliverStatements(world.house, new AbortController().signal);
    const open = await store.db.selectFrom('attestation').select('id').where('delivered_at', 'is', null).execute();
    return open.length === 0 || null;
  });
  const verifier = createVerifier(await signingKeys(store.db));
  const { verified } = await readBeside(registry, { repository: 'scanned/web', digest: often }, verifier);
  const chain = chainOf(verified, 'scanned/web');
  const lists = verified.filter(({ statement }) => statement.predicateType === PREDICATES.packages);
  expect(chain).toMatchObject({ kind: 'whole', statements: { length: verified.length } });
  expect(lists).toMatchObject([
    {
      statement: {
        subjects: [{ name: 'scanned/web', digest: often }],
        predicate: { bomFormat: 'CycloneDX' },
      },
    },
  ]);
  const [{ statement } = { statement: { predicate: {} } }] = lists;
  const text = JSON.stringify(statement.predicate);
  expect(await parseSbom(text, 'bom')).toMatchObject([{ name: 'lodash' }, { name: 'minimist' }]);
});

/** A real advisory, which from now on this server knows. */
function know(file: string): Promise<void> {
  return cp(new URL(`../../fixtures/osv/${file}`, import.meta.url), join(world.advisories, file));
}
