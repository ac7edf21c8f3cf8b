import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sql } from 'kysely';

import { startForge, type ForgeRepository } from '../src/git/testing/forge.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { median } from './figure.ts';
import type { Figure } from './figure.ts';
import { removeTowpath, type RunningTowpath, startTowpath, until } from './towpath.ts';

const SERVICES = 1000;
const FILES = 20;
const PUSHES = 5;
const LOOKS = 5;
const LONG_MS = 1_800_000;
const NAMES = Array.from({ length: SERVICES }, (_, i) => `s${String(i).padStart(4, '0')}`);

interface Stage {
  readonly server: RunningTowpath;
  readonly store: Store;
  readonly repository: ForgeRepository;
}

/** One repository with a thousand services, of which each push touches one: what it costs, and what the faces cost then. */
export async function run(): Promise<Figure[]> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-bench-monorepo-'));
  const forge = await startForge();
  const server = await startTowpath(data);
  const store = await openStore((await startEmbeddedPostgres({ directory: join(data, 'pg') })).url);
  try {
    const repository = await forge.createRepository('mono');
    const files = NAMES.flatMap((name, i) => [
      [`services/${name}/main.js`, program(i, 0)] as const,
      ...Array.from({ length: FILES - 1 }, (_, f) => [`services/${name}/lib/part${f}.js`, `// ${f}\n`] as const),
    ]);
    await repository.commit({ files: { ...Object.fromEntries(files), 'towpath.yaml': config() } });
    const began = performance.now();
    await server.client.call('project.add', { body: { url: repository.url } });
    await isReady(store, await repository.git('rev-parse', 'main'));
    const first = performance.now() - began;
    const stage = { server, store, repository };
    return [
      { name: 'monorepo.1000.first', value: first / 1000, unit: 's' },
      ...(await touches(stage)),
      ...(await faces(stage)),
    ];
  } finally {
    await store.close();
    await server.stop();
    await forge.close();
    await removeTowpath(data);
  }
}

function config(): string {
  const services = NAMES.map(
    (name) => `  ${name}: { path: services/${name}, build: { node: { start: main.js } }, port: 3000 }`,
  );
  return `project: mono\nservices:\n${services.join('\n')}\nenvironments:\n  qa: { on: manual, deploy: process }\n`;
}

function program(service: number, version: number): string {
  return `require('node:http').createServer((_, r) => r.end('${service} ${version}')).listen(process.env.PORT);\n`;
}

async function touches({ server, store, repository }: Stage): Promise<Figure[]> {
  const planned: number[] = [];
  const ready: number[] = [];
  const built: number[] = [];
  for (let i = 1; i <= PUSHES; i++) {
    const before = await artifacts(store);
    const at = i * 97;
    const commit = await repository.commit({ files: { [`services/${NAMES[at]}/main.js`]: program(at, i) } });
    await server.client.call('project.refresh', { params: { project: 'mono' } });
    await isReady(store, commit);
    const { rows } = await sql<{ planned: number; ready: number }>`
      select extract(epoch from release.created_at - ref_event.seen_at)::float8 * 1000 as planned,
        extract(epoch from release.ready_at - ref_event.seen_at)::float8 * 1000 as ready
      from release join ref_event on ref_event.after_sha = release.commit_sha
      where release.commit_sha = ${commit}`.execute(store.db);
    planned.push(rows[0]?.planned ?? Number.NaN);
    ready.push(rows[0]?.ready ?? Number.NaN);
    built.push((await artifacts(store)) - before);
  }
  return [
    { name: 'monorepo.1000.touch-one.planned', value: median(planned), unit: 'ms', goal: { op: '<=', value: 2000 } },
    { name: 'monorepo.1000.touch-one.planned.max', value: Math.max(...planned), unit: 'ms' },
    { name: 'monorepo.1000.touch-one.ready', value: median(ready), unit: 'ms' },
    { name: 'monorepo.1000.touch-one.builds', value: Math.max(...built), unit: '', goal: { op: '<=', value: 1 } },
  ];
}

/** As if all of them ran: a thousand processes would measure the machine. */
async function faces({ server, store }: Stage): Promise<Figure[]> {
  await sql`
    insert into promotion (id, project_id, environment_id, release_id, kind, automatic, requested_by, cause, state, log_id, ended_at)
    select 'pro_bench' || number, release.project_id, environment.id, release.id, 'promotion', true, 'bench', 'bench', 'live', 'log', now()
    from release join environment on environment.project_id = release.project_id`.execute(store.db);
  await sql`
    insert into tenure (promotion_id, environment_id, release_id, ended_at)
    select id, environment_id, release_id, now() from promotion where id like 'pro_bench%'`.execute(store.db);
  await sql`
    update environment set current_since = now(), current_promotion_id = id_of.promotion, current_release_id = id_of.release
    from (select id as promotion, release_id as release from promotion where id like 'pro_bench%' order by number desc limit 1) id_of`.execute(
    store.db,
  );
  await sql`
    insert into deployment (environment_id, service, release_id, promotion_id, digest)
    select environment.id, release_service.service, release_id, current_promotion_id, artifact.digest
    from environment join release_service on release_id = current_release_id join artifact on artifact.key = artifact_key`.execute(
    store.db,
  );
  const params = { project: 'mono' };
  const { client } = server;
  const asked = {
    matrix: () => client.call('matrix.read', { query: params }),
    environment: () => client.call('environment.show', { params: { ...params, environment: 'qa' } }),
    releases: () => client.call('release.list', { params, query: { limit: 10 } }),
  };
  const figures: Figure[] = [];
  for (const [name, ask] of Object.entries(asked)) {
    const times: number[] = [];
    for (let i = 0; i < LOOKS; i++) {
      const began = performance.now();
      await ask();
      times.push(performance.now() - began);
    }
    figures.push({ name: `monorepo.1000.${name}`, value: median(times), unit: 'ms', goal: { op: '<=', value: 1000 } });
  }
  return figures;
}

async function isReady(store: Store, commit: string): Promise<void> {
  await until(
    async () => {
      const { rows } = await sql<{ state: string; problem: unknown }>`
        select state, problem from release where commit_sha = ${commit}`.execute(store.db);
      if (rows[0]?.state === 'failed') throw new Error(JSON.stringify(rows[0].problem));
      return rows[0]?.state === 'ready' ? true : null;
    },
    50,
    LONG_MS,
  );
}

async function artifacts(store: Store): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from artifact`.execute(store.db);
  return rows[0]?.count ?? 0;
}
