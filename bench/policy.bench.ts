import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sql } from 'kysely';

import { latestAnswers } from '../src/check/evidence-store.ts';
import { startForge } from '../src/git/testing/forge.ts';
import { decidePromotion } from '../src/path/policy.ts';
import { factsOf } from '../src/path/testing/facts.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { alternate, median } from './figure.ts';
import type { Figure } from './figure.ts';
import { removeTowpath, type RunningTowpath, startTowpath, until } from './towpath.ts';

const SERVICES = 50;
const CHECKS = 20;
/** How often each question was answered before. */
const RERUNS = 20;
const ROUNDS = 20;
const PROJECT = 'bench';
const CONFIG = `
project: ${PROJECT}
services: { web: { path: web, build: { node: { start: main.js } }, port: 3000, checks: { unit: { run: node --version } } } }
environments:
  gated: { on: manual, gates: [unit], deploy: process, settle: 0s }
  open: { on: manual, deploy: process, settle: 0s }
`;

/** A decision over a thousand answers, read and judged; and what a check costs whose answer is there. */
export async function run(): Promise<Figure[]> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-bench-policy-'));
  const forge = await startForge();
  const server = await startTowpath(data);
  const store = await openStore((await startEmbeddedPostgres({ directory: join(data, 'pg') })).url);
  try {
    const repository = await forge.createRepository(PROJECT);
    const program = 'setInterval(() => undefined, 1000);\n';
    await repository.commit({ files: { 'towpath.yaml': CONFIG, 'web/main.js': program } });
    await server.client.call('project.add', { body: { url: repository.url } });
    return [
      ...(await reused(server, () => repository.commit({ files: { 'README.md': 'Read this.\n' } }))),
      await decided(store),
    ];
  } finally {
    await store.close();
    await server.stop();
    await forge.close();
    await removeTowpath(data);
  }
}

/** The check is asked once, of the first commit; the second has the same artifact, and its dry run reads that answer. */
async function reused({ client }: RunningTowpath, commitDocs: () => Promise<string>): Promise<Figure[]> {
  const isReady = async (commit?: string) => {
    const { items } = await client.call('release.list', { params: { project: PROJECT }, query: { limit: 1 } });
    const [newest] = items;
    return newest?.state === 'ready' && (commit === undefined || newest.commit === commit) ? newest : null;
  };
  const first = await until(() => isReady());
  await client.call('release.test', { params: { project: PROJECT, release: first.id }, body: {} });
  const docs = await commitDocs();
  await client.call('project.refresh', { params: { project: PROJECT } });
  const release = await until(() => isReady(docs));
  const ask = (environment: string) => {
    const params = { project: PROJECT, environment };
    return client.call('promotion.request', { params, body: { release: release.id, dryRun: true } });
  };
  await until(async () => {
    const answer = await ask('gated');
    return answer.kind === 'would' && answer.verdict === 'go' ? true : null;
  });
  const { gated, open } = await alternate(ROUNDS, [
    { name: 'gated', run: () => ask('gated') },
    { name: 'open', run: () => ask('open') },
  ]);
  return [
    // what the gate adds: its question is put together from git and its answer is read
    { name: 'policy.reused-check', value: median(gated) - median(open), unit: 'ms', goal: { op: '<=', value: 50 } },
    { name: 'policy.dry-run.p50', value: median(gated), unit: 'ms' },
  ];
}

async function decided({ db }: Store): Promise<Figure> {
  const { id } = await db.selectFrom('project').select('id').executeTakeFirstOrThrow();
  await sql`insert into evidence (id, project_id, question, check_name, service, digests, verdict, result, at)
    select 'bench-' || question || '-' || run, ${id}, 'q-' || question, 'check-' || question % ${CHECKS}, 'service-' || question / ${CHECKS},
      '{}', 'passed', '{"summary": "9 of 9 passed"}', now() - run * interval '1 hour'
    from generate_series(0, ${SERVICES * CHECKS - 1}) question, generate_series(1, ${RERUNS}) run`.execute(db);
  await sql`analyze evidence`.execute(db);
  const names = Array.from({ length: CHECKS }, (_, i) => `check-${i}`);
  const gates = names.map((name) => ({ kind: 'check' as const, name, freshMs: 86_400_000 }));
  const questions = Array.from({ length: SERVICES * CHECKS }, (_, i) => `q-${i}`);
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const began = performance.now();
    const latest = await latestAnswers(db, questions);
    const evidence = Object.fromEntries(
      names.map((name) => [
        name,
        [...latest.values()]
          .filter(({ check }) => check === name)
          .map(({ id: answer, service, answer: { verdict, summary }, at }) => ({
            service: service ?? '',
            asked: 'same' as const,
            differs: [],
            question: null,
            latest: { evidence: answer, verdict, summary, at: at.getTime() },
          })),
      ]),
    );
    const decision = decidePromotion(factsOf({ now: Date.now(), environment: { gates }, evidence }));
    times.push(performance.now() - began);
    if (decision.kind !== 'go') throw new Error(`It was decided otherwise: ${JSON.stringify(decision)}`);
  }
  return { name: 'policy.decide.1000-answers.p50', value: median(times), unit: 'ms', goal: { op: '<=', value: 50 } };
}
