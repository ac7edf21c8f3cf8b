import { randomBytes } from 'node:crypto';

import { until } from '../server.ts';
import type { Stage } from './stage.ts';

export const PROJECT = 'boats';

/** What a user does, and how one sees that it is over. */
export interface Operation {
  readonly name: string;
  /** What has to be there first; it is not killed. */
  prepare(stage: Stage): Promise<void>;
  /** Does it. @returns what tells whether it is over */
  perform(stage: Stage): Promise<() => Promise<boolean>>;
  /** Afterwards the next operation finds the stage as it would be without this one. */
  tidy(stage: Stage): Promise<void>;
}

const CONFIG = `project: ${PROJECT}
services:
  web:
    path: web
    build: { node: { start: main.js } }
    port: 3000
    health: { path: /, interval: 50ms }
    checks:
      unit: { run: node --check main.js, during: build }
      start: { run: node --check main.js }
      smoke: { http: { path: /smoke } }
environments:
  preview:
    on: { branch: 'feature/*' }
    ephemeral: { ttl: 1d }
    accepts: any
    deploy: process
    settle: 100ms
  qa:
    on: { merge: main }
    gates: [start]
    deploy: process
    settle: 100ms
    verify: [smoke]
`;

/** @param words what makes it another artifact @param smoke the status that its smoke check gets */
function program(words: string, smoke = 200): string {
  return `// ${words}
import { createServer } from 'node:http';
const server = createServer((request, response) => {
  response.statusCode = request.url === '/smoke' ? ${smoke} : 200;
  response.end('well');
});
server.listen(Number(process.env.PORT));
process.on('SIGTERM', () => process.exit(0));
`;
}

/** A project whose qa has run two releases: the ground on which all operations stand. */
export async function setScene(stage: Stage): Promise<void> {
  await stage.repository.commit('First', { 'towpath.yaml': CONFIG, 'web/main.js': program('even') });
  await stage.client().call('project.add', { body: { url: stage.repository.url } });
  const head = await stage.repository.git('rev-parse', 'HEAD');
  await finished(stage, () => isOver(stage, 'qa', head));
  await performed(stage, arriveKnown);
}

/** A commit with something new in it: it is taken in, built, checked and brought into qa. */
export const arriveNew: Operation = {
  name: 'a push with a new artifact',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const commit = await stage.repository.commit('New', { 'web/main.js': program(randomBytes(8).toString('hex')) });
    return () => isOver(stage, 'qa', commit);
  },
  tidy: () => Promise.resolve(),
};

/** A commit whose artifact is there already: it only moves. */
export const arriveKnown: Operation = {
  name: 'a push with a known artifact',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const text = await stage.repository.git('show', 'HEAD:web/main.js');
    const next = text.startsWith('// even') ? 'odd' : 'even';
    const commit = await stage.repository.commit('Known', { 'web/main.js': program(next) });
    return () => isOver(stage, 'qa', commit);
  },
  tidy: () => Promise.resolve(),
};

/** A commit that runs but does not do its work: qa gets back what it had. */
export const failAndReturn: Operation = {
  name: 'a push that fails in qa and is rolled back',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const commit = await stage.repository.commit('Broken', { 'web/main.js': program('broken', 500) });
    return () => isOver(stage, 'qa', commit);
  },
  tidy: resume,
};

export const rollBack: Operation = {
  name: 'a rollback by hand',
  prepare: (stage) => performed(stage, arriveKnown),
  async perform(stage) {
    const wishes = () =>
      stage.store.db.selectFrom('promotion').select('ended_at').where('kind', '=', 'rollback').execute();
    const before = (await wishes()).length;
    // a server that dies of it may take the answer with it; the wish is a row by then
    await stage
      .client()
      .call('environment.rollback', { params: { project: PROJECT, environment: 'qa' }, body: {} })
      .catch(() => undefined);
    return async () => {
      const rows = await wishes();
      return rows.length === before + 1 && rows.every((row) => row.ended_at !== null);
    };
  },
  tidy: resume,
};

const BRANCH = 'feature/x';

export const openPreview: Operation = {
  name: 'a new branch',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const { repository } = stage;
    await repository.git('switch', '--quiet', '--create', BRANCH);
    const head = await repository.commit('Preview');
    await repository.git('switch', '--quiet', 'main');
    return () => isOver(stage, BRANCH, head);
  },
  tidy: (stage) => performed(stage, closePreview),
};

/** The branch is deleted: nothing of its preview stays. */
export const closePreview: Operation = {
  name: 'a branch that is deleted',
  prepare: (stage) => performed(stage, openPreview),
  async perform(stage) {
    await stage.repository.git('branch', '--quiet', '--delete', '--force', BRANCH);
    return async () =>
      (await stage.store.db
        .selectFrom('environment')
        .select('id')
        .where('preview_branch', '=', BRANCH)
        .where('removed_at', 'is', null)
        .executeTakeFirst()) === undefined;
  },
  tidy: () => Promise.resolve(),
};

async function performed(stage: Stage, operation: Operation): Promise<void> {
  await finished(stage, await operation.perform(stage));
}

/** It is over, and no workflow has anything left to do. */
export async function finished(stage: Stage, over: () => Promise<boolean>, timeoutMs = 180_000): Promise<void> {
  await until(
    async () => ((await over()) && (await isIdle(stage)) ? true : null),
    timeoutMs,
    () => storyOf(stage),
  );
}

/** What a person would look at: the last promotions, the workflows that go on, what the server said. */
async function storyOf({ store, output }: Stage): Promise<string> {
  const { rows } = await store.pool.query<{ what: string }>(
    `(select 'promotion ' || p.number || ' into ' || e.name || ' ' || p.state || ' ' || p.detail as what
        from towpath.promotion p join towpath.environment e on e.id = p.environment_id order by p.number desc limit 5)
     union all (select 'release ' || number || ' ' || state || ' ' || coalesce(problem::text, '') from towpath.release
        order by number desc limit 2)
     union all select name || ' ' || status || ' ' || workflow_uuid from dbos.workflow_status where status <> 'SUCCESS'`,
  );
  return [...rows.map(({ what }) => what), output().slice(-3000)].join('\n');
}

async function resume(stage: Stage): Promise<void> {
  await stage.client().call('environment.resume', { params: { project: PROJECT, environment: 'qa' } });
}

/** Everything that was asked of this environment for this commit has ended, and there was something. */
async function isOver(stage: Stage, environment: string, commit: string): Promise<boolean> {
  const rows = await stage.store.db
    .selectFrom('promotion')
    .innerJoin('release', 'release.id', 'promotion.release_id')
    .innerJoin('environment', 'environment.id', 'promotion.environment_id')
    .select('promotion.ended_at')
    .where('release.commit_sha', '=', commit)
    .where((eb) => eb.or([eb('environment.name', '=', environment), eb('preview_branch', '=', environment)]))
    .execute();
  return rows.length > 0 && rows.every((row) => row.ended_at !== null);
}

async function isIdle({ store }: Stage): Promise<boolean> {
  const { rows } = await store.pool.query<{ busy: string | number }>(
    `select count(*) as busy from dbos.workflow_status where status in ('PENDING', 'ENQUEUED', 'DELAYED')`,
  );
  return Number(rows[0]?.busy) === 0;
}
