import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { markedProcesses } from '../../../src/container/process/marked.ts';
import { readAllRecords } from '../../../src/deploy/process/record.ts';
import { fileLedger } from '../../../src/deploy/ledger-store.ts';
import { createProxyControl } from '../../../src/deploy/proxy/control.ts';
import { namesMoved, namesOfBranches, namesOfEnvironments, tagsOf } from './tags.ts';
import { wrongInRegistry } from './blobs.ts';
import type { Stage } from './stage.ts';
import { wrongBesideImages } from './statements.ts';
import { leftBySweep } from './sweep.ts';

/** What has happened up to a moment, so that a later picture shows what came after it. */
export interface Moment {
  readonly at: Date;
  readonly tags: ReadonlyMap<string, string>;
}

/** What an operation left behind, in words that are the same however often it is performed. */
export interface Picture {
  /** Kind of row -> how many of it came. */
  readonly store: Readonly<Record<string, number>>;
  /** What is wrong whatever was done: open lanes, doubled tenures, workflows that failed. */
  readonly wrong: readonly string[];
  /** Tags of commits that came, and whether those of branches and environments name what they should. */
  readonly tags: readonly string[];
  /** Service instances that run, each with what the environment is meant to run. */
  readonly running: readonly string[];
  /** Of what was in the registry before a sweep, what is whole and what is gone. */
  readonly left: readonly string[];
}

export async function moment(stage: Stage): Promise<Moment> {
  const { rows } = await stage.store.pool.query<{ now: Date }>('select clock_timestamp() as now');
  return { at: rows[0]?.now ?? new Date(), tags: await tagsOf(stage) };
}

export async function pictureSince(stage: Stage, since: Moment): Promise<Picture> {
  const [store, wrong, tags, blobs, beside, driver] = await Promise.all([
    rowsSince(stage, since.at),
    wrongInStore(stage),
    tagsOf(stage),
    wrongInRegistry(join(stage.data, 'registry')),
    wrongBesideImages(stage),
    machineOf(stage),
  ]);
  return {
    store,
    wrong: [...wrong, ...blobs, ...beside, ...driver.wrong],
    tags: [
      ...namesMoved(since.tags, tags),
      ...(await namesOfBranches(stage, tags)),
      ...(await namesOfEnvironments(stage, tags)),
    ].toSorted(),
    running: driver.running,
    left: await leftBySweep(stage),
  };
}

/**
 * Each row is named by what it says; the counts show what is missing and what is doubled. Whether a rollback finds its
 * lane free or waits a moment for the promotion that it follows is chance, so its wait is left out.
 */
const ROWS = `
  select 'event ' || kind as what from towpath.event where at >= $1 and not (kind = 'promotion.waiting'
    and exists (select from towpath.promotion p where p.id::text = subject and p.kind = 'rollback'))
  union all select 'promotion ' || p.kind || ' into ' || e.name || ' ' || p.state from towpath.promotion p
    join towpath.environment e on e.id = p.environment_id where p.created_at >= $1
  union all select 'move ' || case when from_state = 'waiting' and p.kind = 'rollback' then 'evaluating'
      else coalesce(from_state, '-') end || ' to ' || to_state
    from towpath.promotion_event m join towpath.promotion p on p.id = m.promotion_id
    where at >= $1 and not (to_state = 'waiting' and p.kind = 'rollback')
  union all select 'release ' || state from towpath.release where created_at >= $1
  union all select 'artifact ' || state || ' attempt ' || attempt from towpath.artifact where requested_at >= $1
  union all select 'report ' || state from towpath.artifact_report where reported_at >= $1
  union all select 'evidence ' || check_name || ' ' || verdict from towpath.evidence where at >= $1
  union all select 'statement ' || predicate_type from towpath.attestation where wanted_at >= $1
  union all select 'tenure in ' || e.name from towpath.tenure t join towpath.environment e on e.id = t.environment_id
    where t.began_at >= $1
  union all select 'environment ' || name from towpath.environment where created_at >= $1
  union all select 'change of a ref' from towpath.ref_event where seen_at >= $1
  union all select 'audit ' || action from towpath.audit where at >= $1
    -- who was killed in a sweep has said that he began, and asks again
    and action <> 'registry.sweep'
  union all select 'hold of ' || name from towpath.environment where hold is not null
  union all select 'address of ' || e.name from towpath.endpoint n join towpath.environment e on e.id = n.environment_id`;

async function rowsSince({ store }: Stage, at: Date): Promise<Record<string, number>> {
  const { rows } = await store.pool.query<{ what: string; times: string | number }>(
    `select what, count(*) as times from (${ROWS}) as rows group by what order by what`,
    [at],
  );
  return Object.fromEntries(rows.map(({ what, times }) => [what, Number(times)]));
}

const WRONG = `
  select 'lane of ' || environment_id || ' is held by ' || holder as what from towpath.lane where holder is not null
  union all select count(*) || ' releases of one commit' from towpath.release where not mixed
    group by repository_id, commit_sha having count(*) > max(edition)
  union all select count(*) || ' open tenures in one environment' from towpath.tenure where ended_at is null
    group by environment_id having count(*) > 1
  union all select 'a promotion is open: ' || state from towpath.promotion where ended_at is null
  union all select 'promotion ended ' || count(*) || ' times' from towpath.promotion_event
    where to_state in ('live', 'refused', 'failed', 'superseded', 'cancelled', 'rolled-back')
    group by promotion_id having count(*) > 1
  union all select 'a release is ' || state from towpath.release where state = 'building'
  union all select 'a report is ' || state from towpath.artifact_report where ended_at is null
  union all select 'artifact is ' || state from towpath.artifact where state = 'building'
  union all select 'a change of ' || ref || ' is not handled' from towpath.ref_event where handled_at is null
  union all select e.name || ' runs a release without a tenure' from towpath.environment e
    where e.removed_at is null and e.current_release_id is not null and not exists (select from towpath.tenure t
      where t.environment_id = e.id and t.release_id = e.current_release_id and t.ended_at is null)
  union all select 'workflow ' || name || ' ended in ' || status from dbos.workflow_status
    where status not in ('SUCCESS', 'CANCELLED')`;

async function wrongInStore({ store }: Stage): Promise<string[]> {
  const { rows } = await store.pool.query<{ what: string }>(WRONG);
  return rows.map(({ what }) => what);
}

/** What this machine runs for the stage, against what each environment is meant to run. */
async function machineOf(stage: Stage): Promise<{ running: string[]; wrong: string[] }> {
  const { data, store } = stage;
  const wrong: string[] = [];
  const running: string[] = [];
  const instances = join(data, 'run', 'instances');
  const { known: records, broken } = await readAllRecords(instances);
  for (const { file, why } of broken) wrong.push(`${file} is broken: ${why}`);
  const { rows: wanted } = await store.pool.query<{ name: string; digest: string; promotion: string }>(
    `select e.name, d.digest, e.current_promotion_id as promotion from towpath.deployment d
     join towpath.environment e on e.id = d.environment_id where e.removed_at is null`,
  );
  const ledger = fileLedger(join(data, 'run', 'ledger'));
  const marked = markedProcesses();
  const routes = (await proxyOf(data).status()).routes;
  for (const record of records) {
    const name = record.target.environment;
    const processes = (marked.get(record.mark) ?? []).length;
    const meant = wanted.find((row) => row.name === name);
    const serving = (await ledger.serving(record.target))[record.service.service] ?? [];
    const routed = routes.filter(
      ({ upstreams }) => upstreams.length === 1 && upstreams.some(({ port }) => port === record.port),
    );
    running.push(name);
    if (processes === 0) wrong.push(`${name} does not run`);
    if (record.revivals > 0) wrong.push(`${name} was revived`);
    if (meant?.digest !== record.service.digest) wrong.push(`${name} is not what is meant to run`);
    if (meant !== undefined && !record.operation.startsWith(meant.promotion) && !record.operation.endsWith('-back'))
      wrong.push(`${name} is of another operation than the one that is meant`);
    if (serving.length !== 1 || serving[0] !== record.id) wrong.push(`${name} is not what serves`);
    if (routed.length !== 1) wrong.push(`${name} is behind ${routed.length} addresses`);
  }
  const marks = new Set(records.map(({ mark }) => mark));
  const suffix = records[0]?.mark.slice(-9) ?? '-none';
  for (const mark of marked.keys()) if (mark.endsWith(suffix) && !marks.has(mark)) wrong.push(`${mark} is a leftover`);
  if (routes.length !== records.length) wrong.push(`${routes.length} addresses for ${records.length} instances`);
  const ports = await readdir(join(instances, 'ports')).catch(() => []);
  if (ports.length !== records.length) wrong.push(`${ports.length} ports are claimed by ${records.length} instances`);
  const drafts = (await readdir(join(data, 'rootfs')).catch(() => [])).filter((name) => name.startsWith('.draft'));
  if (drafts.length > 1) wrong.push(`${drafts.length} images are half unpacked`);
  return { running: running.toSorted(), wrong };
}

function proxyOf(data: string) {
  return createProxyControl({ directory: join(data, 'proxy'), command: ['false'] });
}
