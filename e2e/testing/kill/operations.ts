import { randomBytes } from 'node:crypto';

import { until } from '../server.ts';
import { PROJECT, type Stage } from './stage.ts';

/** What a user does, and how one sees that it is over. */
export interface Operation {
  readonly name: string;
  /** Default: a server goes on with it where it was killed. Else it is begun anew. */
  readonly isResumed?: false;
  /** What has to be there first; it is not killed. */
  prepare(stage: Stage): Promise<void>;
  /** Does it. @returns what tells whether it is over */
  perform(stage: Stage): Promise<() => Promise<boolean>>;
  /** Afterwards the next operation finds the stage as it would be without this one. */
  tidy(stage: Stage): Promise<void>;
}

/** A commit with something new in it: it is taken in, built, checked and brought into qa. */
export const arriveNew: Operation = {
  name: 'a push with a new artifact',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const commit = await pushed(stage, `new-${randomBytes(8).toString('hex')}`);
    return () => isOver(stage, 'qa', commit);
  },
  tidy: () => Promise.resolve(),
};

/** A commit whose artifact is there already: it only moves. */
export const arriveKnown: Operation = {
  name: 'a push with a known artifact',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const commit = await pushed(stage, (await nameInQa(stage)) === 'even' ? 'odd' : 'even');
    return () => isOver(stage, 'qa', commit);
  },
  tidy: () => Promise.resolve(),
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
    await stage.wake();
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
    await stage.wake();
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

export async function performed(stage: Stage, operation: Operation): Promise<void> {
  await finished(stage, await operation.perform(stage));
}

/**
 * Commits the program of this name on the branch that is checked out, and has the servers look. It asks the world how it is.
 * @returns the commit, whose subject is the name
 */
export async function pushed(stage: Stage, name: string): Promise<string> {
  const commit = await stage.repository.commit(name, { 'web/main.js': program(stage, name) });
  await stage.wake();
  return commit;
}

export function program({ world }: Stage, name: string): string {
  return `import { createServer } from 'node:http';
const server = createServer(async (request, response) => {
  const answer = await fetch('${world.url}/${name}' + request.url).catch(() => ({ status: 503 }));
  response.statusCode = answer.status;
  response.end('${name}');
});
server.listen(Number(process.env.PORT));
process.on('SIGTERM', () => process.exit(0));
`;
}

/** The name of the program that qa is meant to run. */
async function nameInQa({ store, repository }: Stage): Promise<string> {
  const { commit } = await store.db
    .selectFrom('environment')
    .innerJoin('release', 'release.id', 'environment.current_release_id')
    .select('release.commit_sha as commit')
    .where('environment.name', '=', 'qa')
    .executeTakeFirstOrThrow();
  return repository.git('log', '--max-count=1', '--format=%s', commit);
}

/** It is over, and no workflow has anything left to do. */
export async function finished(stage: Stage, over: () => Promise<boolean>, timeoutMs = 180_000): Promise<void> {
  await until(
    async () => ((await over()) && (await isIdle(stage)) ? true : null),
    timeoutMs,
    () => storyOf(stage),
  );
}

/** What a person would look at: the last promotions, the workflows that go on and how far they came, who is in a lane, what the server said. */
async function storyOf({ store, output }: Stage): Promise<string> {
  const { rows } = await store.pool.query<{ what: string }>(
    `(select 'promotion ' || p.number || ' into ' || e.name || ' ' || p.state || ' ' || p.detail as what
        from towpath.promotion p join towpath.environment e on e.id = p.environment_id order by p.number desc limit 5)
     union all (select 'release ' || number || ' ' || state || ' ' || coalesce(problem::text, '') from towpath.release
        order by number desc limit 2)
     union all select name || ' ' || status || ' ' || workflow_uuid || ' of ' || coalesce(executor_id, 'nobody') || ' after '
       || coalesce((select string_agg(o.function_name, ', ' order by o.function_id) from dbos.operation_outputs o
           where o.workflow_uuid = w.workflow_uuid), 'nothing')
       from dbos.workflow_status w where status <> 'SUCCESS'
     union all select 'lane of ' || environment_id || ': ' || holder || ', token ' || token || ', for ' || until - clock_timestamp()
       from towpath.lane where holder is not null
     union all select 'session ' || state || ' since ' || clock_timestamp() - state_change || ' ' || coalesce(wait_event, '') || ': ' || left(query, 200)
       from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()
     union all select 'worker ' || id || ', for ' || until - clock_timestamp() from towpath.executor_lease`,
  );
  return [...rows.map(({ what }) => what), output().slice(-3000)].join('\n');
}

export async function resume(stage: Stage): Promise<void> {
  await stage.client().call('environment.resume', { params: { project: PROJECT, environment: 'qa' } });
}

/** Everything that was asked of this environment for this commit has ended, and there was something. */
export async function isOver(stage: Stage, environment: string, commit: string): Promise<boolean> {
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

/** Nothing is under way, and what was stated lies beside its image. */
async function isIdle({ store }: Stage): Promise<boolean> {
  const { rows } = await store.pool.query<{ busy: string | number }>(
    `select count(*) as busy from dbos.workflow_status where status in ('PENDING', 'ENQUEUED', 'DELAYED')
      or exists (select from towpath.attestation where delivered_at is null)`,
  );
  return Number(rows[0]?.busy) === 0;
}
