import { afterAll, beforeAll, expect, test } from 'vitest';

import { readBeside } from '../../attestation/beside.ts';
import { type Chain, chainOf } from '../../attestation/chain.ts';
import { signingKeys } from '../../attestation/signing-key-store.ts';
import { PREDICATES } from '../../attestation/statement.ts';
import { createVerifier } from '../../attestation/verify.ts';
import { decideStated } from '../../path/decide-stated.ts';
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
async function beside(commit: string): Promise<Chain> {
  const { services } = await world.useCases.releases.show('shop', commit);
  const digest = services.find(({ service }) => service === 'web')?.digest;
  if (digest === undefined || digest === null) throw new Error('There is no image.');
  const { store, registry } = world.house;
  await until(async () => {
    await deliverStatements(world.house, never); // the world's own sweep does so too, and may be at it
    const open = await store.db.selectFrom('attestation').select('id').where('delivered_at', 'is', null).execute();
    return open.length === 0 || null;
  });
  const verifier = createVerifier(await signingKeys(store.db));
  const { verified, flaws } = await readBeside(registry, { repository: 'shop/web', digest }, verifier);
  expect(flaws).toEqual({});
  return chainOf(verified, 'shop/web');
}

/** What is decided of it for production without the server, and by the server: what does not hold. */
async function verdicts(commit: string) {
  const { verdict, findings } = decideStated(await beside(commit), { environment: 'prod', now: Date.now() });
  const [place] = (await world.useCases.why('shop', commit, { environment: 'prod' })).environments;
  const offline = findings.map((one) => ({ verdict: one.verdict, gate: one.reason.gate }));
  return {
    verdict,
    offline: offline.filter((one) => one.verdict !== 'pass'),
    server: place?.lines.flatMap((line) =>
      line.verdict === 'pass' ? [] : [{ verdict: line.verdict, gate: line.gate }],
    ),
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
  const waiting = [{ verdict: 'wait', gate: 'approvals' }];
  expect(await verdicts(commit)).toEqual({ verdict: 'wait', offline: waiting, server: waiting });
  await world.useCases.promotions.approve(prod.id, 'fine', 'mia');
  await world.reaches(prod.id, 'live');
  expect(await verdicts(commit)).toEqual({ verdict: 'go', offline: [], server: [] });
  await world.useCases.releases.yank('shop', commit, 'it loses orders', 'olga');
  expect(await verdicts(commit)).toMatchObject({ verdict: 'refuse', offline: [{ verdict: 'refuse', gate: 'yank' }] });
  await world.useCases.releases.unyank('shop', commit, 'olga');
  await Promise.all([1, 2, 3].map(() => deliverStatements(world.house, never)));
  const chain = await beside(commit);
  const statements = chain.kind === 'whole' ? chain.statements : [];
  expect(statements.map(({ link }) => link?.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const said = statements.map(({ predicateType, predicate: { result, verdict, state, properties, environment } }) =>
    [predicateType, result ?? verdict ?? state ?? properties ?? environment].join(' '),
  );
  expect(said).toEqual([
    `${PREDICATES.build} `,
    `${PREDICATES.policy} qa`,
    `${PREDICATES.decision} TOWPATH_LIVE_IN_QA`,
    `${PREDICATES.policy} prod`,
    `${PREDICATES.test} PASSED`,
    `${PREDICATES.approval} approved`,
    `${PREDICATES.decision} TOWPATH_LIVE_IN_PROD,TOWPATH_GATE_UNIT,TOWPATH_GATE_APPROVALS`,
    `${PREDICATES.yank} yanked`,
    `${PREDICATES.yank} unyanked`,
  ]);
}, 120_000);

test('what an image is asked again, and does not answer or fails, takes back what it had', async () => {
  const commit = await world.push({ says: { web: 'third' } });
  await world.live('qa', commit);
  const prod = await world.request('prod', commit);
  await until(async () => (await verdicts(commit)).server?.length === 1 || null);
  for (const [code, verdict] of [
    [null, 'error'],
    [1, 'failed'],
    [0, 'passed'],
  ] as const) {
    world.answer = () => (code === null ? { kind: 'timed-out' } : { kind: 'exited', code });
    await world.useCases.releases.test('shop', commit, 'unit', 'olga');
    await until(async () => {
      const { evidence } = await world.useCases.releases.show('shop', commit);
      return evidence.some((one) => one.verdict === verdict) || null;
    });
    const found = await verdicts(commit);
    expect(found.offline).toEqual(found.server);
    expect(found.verdict).toBe(verdict === 'passed' ? 'wait' : 'refuse');
  }
  expect(await world.reaches(prod.id, 'refused', 'waiting')).toBeDefined();
}, 120_000);
