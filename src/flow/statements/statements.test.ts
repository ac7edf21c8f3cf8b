import { afterAll, beforeAll, expect, test } from 'vitest';

import { bundlesOf, readBundleAt } from '../../attestation/referrer.ts';
import { signingKeys } from '../../attestation/signing-key-store.ts';
import { PREDICATES, type Statement } from '../../attestation/statement.ts';
import { createVerifier } from '../../attestation/verify.ts';
import type { Digest } from '../../lib/digest.ts';
import { until } from '../testing/until.ts';
import { createWorld, type World } from '../testing/world.ts';
import { deliverStatements } from './deliver.ts';

const CONFIG = `services:
  web:
    path: services/web
    build: { text: {} }
    checks: { unit: { run: npm test, during: release } }
roles: { managers: [mia] }
users: { mia: [mia@example.org] }
environments:
  qa: { on: { merge: main }, deploy: { stage: {} } }
  prod: { on: manual, from: qa, gates: [unit, { approvals: { of: managers } }], deploy: { stage: {} } }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('shop', CONFIG, { says: { web: 'first' } });
});
afterAll(() => world.end());

const never = new AbortController().signal;

/** What lies beside the image of a commit, in order, as anybody with the public keys can read it. */
async function beside(commit: string): Promise<{ statements: Statement[]; digest: Digest; flaws: string[] }> {
  const { services } = await world.useCases.releases.show('shop', commit);
  const digest = services.find(({ service }) => service === 'web')?.digest;
  if (digest === undefined || digest === null) throw new Error('There is no image.');
  const { store, registry } = world.house;
  const verifier = createVerifier(await signingKeys(store.db));
  const found = await bundlesOf(registry, 'shop/web', digest);
  const read = await Promise.all(
    found.map(async (manifest) => verifier.verify((await readBundleAt(registry, 'shop/web', manifest)) ?? '', digest)),
  );
  const statements = read.flatMap((one) => (one.kind === 'verified' ? [one.statement] : []));
  const place = ({ link }: Statement) => link?.sequence ?? 0;
  return {
    digest,
    statements: statements.toSorted((one, other) => place(one) - place(other)),
    flaws: read.flatMap((one) => (one.kind === 'refused' ? [one.flaw] : [])),
  };
}

test('each fact of a way to production is stated once, in the order in which it came true', async () => {
  const commit = await world.push({ says: { web: 'second' } });
  await world.live('qa', commit);
  const prod = await world.request('prod', commit);
  await until(async () => {
    const { reasons } = await world.useCases.promotions.show(prod.id);
    return reasons.length > 0 && reasons.every(({ gate }) => gate === 'approvals'); // the check was answered
  });
  await world.useCases.promotions.approve(prod.id, 'fine', 'mia');
  await world.reaches(prod.id, 'live');
  await world.useCases.releases.yank('shop', commit, 'it loses orders', 'olga');
  await world.useCases.releases.unyank('shop', commit, 'olga');
  await Promise.all([1, 2, 3].map(() => deliverStatements(world.house, never)));
  await deliverStatements(world.house, never);
  const { statements } = await beside(commit);
  expect(statements.map(({ link }) => link?.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  const said = statements.map(({ predicateType, predicate: { result, verdict, state, properties } }) =>
    [predicateType, result ?? verdict ?? state ?? properties].join(' '),
  );
  expect(said).toEqual([
    `${PREDICATES.build} `,
    `${PREDICATES.decision} TOWPATH_LIVE_IN_QA`,
    `${PREDICATES.test} PASSED`,
    `${PREDICATES.approval} approved`,
    `${PREDICATES.decision} TOWPATH_LIVE_IN_PROD,TOWPATH_GATE_UNIT,TOWPATH_GATE_APPROVALS`,
    `${PREDICATES.yank} yanked`,
    `${PREDICATES.yank} unyanked`,
  ]);
}, 120_000);
