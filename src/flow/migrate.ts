import type { Desired, DeployDriver, Job, JobEnd, Jobs } from '../deploy/driver.ts';
import { migrationRun, recordMigrationBegun, recordMigrationEnded } from '../deploy/migration-run-store.ts';
import { TowpathError } from '../lib/error.ts';
import { promotionById } from '../path/promotion-store.ts';
import { openLog } from '../store/log-store.ts';
import { type Deployment, driverOf, logOf } from './deploy-release.ts';
import { desire, type Migration } from './desired.ts';
import { passBoundary } from './engine/fault.ts';
import type { House } from './house.ts';

/**
 * Runs the migrations of the services of a release, one after the other, before anything is switched: each at most once in a
 * promotion, whatever is killed. A rollback runs none: what runs there has to work with what a newer release made of its database.
 * @throws TowpathError `migration.failed`, `.timeout`, `.interrupted`, `.elsewhere`, `deploy.no-jobs`, `deploy.timeout`
 */
export async function migrate(house: House, deployment: Deployment): Promise<void> {
  const promotion = await promotionById(house.store.db, deployment.promotionId);
  if (promotion?.kind !== 'promotion') return;
  const { desired, migrations } = await desire(house, deployment);
  if (migrations.length === 0) return;
  const driver = driverOf(house, deployment.definition);
  const { jobs } = driver;
  if (jobs === undefined) throw noJobs(driver, migrations);
  const log = openLog(house.store, await logOf(house, deployment.promotionId));
  try {
    for (const migration of migrations)
      await once(house, {
        deployment,
        desired,
        jobs,
        migration,
        log: (line) => log.line(`${migration.service}: ${line}`),
      });
  } finally {
    await log.end();
  }
}

interface Once {
  readonly deployment: Deployment;
  readonly desired: Desired;
  readonly jobs: Jobs;
  readonly migration: Migration;
  readonly log: (line: string) => void;
}

async function once(house: House, { deployment, desired, jobs, migration, log }: Once): Promise<void> {
  const { promotionId, environment, token } = deployment;
  const { service, run: argv, timeoutMs } = migration;
  const { db } = house.store;
  const key = { promotionId, service };
  const before = await migrationRun(db, key);
  let outcome = before?.outcome ?? null;
  if (outcome === null) {
    const begin = async (): Promise<void> => {
      const isFirst = await recordMigrationBegun(db, key);
      if (before === null && !isFirst) throw begunElsewhere(service, environment.name);
      passBoundary('begun', 'done', 'migrations');
      log(`migrates: ${argv.join(' ')}`);
    };
    const job = { service, argv, timeoutMs, begun: before !== null, begin };
    passBoundary('wanted', 'done', 'migrations');
    outcome = await begunInTime(deployment, job, (timed, until) =>
      jobs.run(desired, timed, { log: (line) => log(`  ${line}`), signal: until, token }),
    );
    passBoundary('ended', 'done', 'migrations');
    await recordMigrationEnded(db, key, outcome);
    passBoundary('recorded', 'done', 'migrations');
  }
  await jobs.forget(desired, service);
  const failure = failureOf(outcome, { service, place: environment.name, timeoutMs });
  if (failure !== null) throw failure;
  log('is migrated');
}

/** What comes before it begins (its image is fetched, say) may take as long as a deployment there. */
async function begunInTime(
  { definition, environment, signal }: Deployment,
  job: Job,
  work: (job: Job, signal: AbortSignal) => Promise<JobEnd>,
): Promise<JobEnd> {
  if (job.begun) return work(job, signal);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), definition.timeoutMs);
  const begin = (): Promise<void> => {
    clearTimeout(timer);
    return job.begin();
  };
  try {
    return await work({ ...job, begin }, AbortSignal.any([signal, late.signal]));
  } catch (error) {
    if (!late.signal.aborted || signal.aborted) throw error;
    throw new TowpathError({
      code: 'deploy.timeout',
      what: `The migration of ${job.service} in ${environment.name} was not ready to begin within ${definition.timeoutMs / 1000} s.`,
      fix: 'Read the log of the promotion: its image may not be fetched. Raise `timeout` of the environment if it needs longer.',
    });
  } finally {
    clearTimeout(timer);
  }
}

const AFTER =
  'Look at its database, put right what is half done, then promote again: the migration is run again. `towpath resume` lets releases in by themselves again.';

function failureOf(
  outcome: JobEnd,
  { service, place, timeoutMs }: { service: string; place: string; timeoutMs: number },
): TowpathError | null {
  const it = `The migration of ${service} in ${place}`;
  switch (outcome.kind) {
    case 'exited':
      return outcome.code === 0 ? null : failed(`${it} ended with exit code ${outcome.code}.`);
    case 'out-of-memory':
      return failed(`${it} wanted more memory than the service may use.`);
    case 'killed':
      return failed(`${it} was ended from outside (${outcome.signal}).`);
    case 'timed-out':
      return new TowpathError({
        code: 'migration.timeout',
        what: `${it} took longer than ${timeoutMs / 1000} s and was ended.`,
        fix: `${AFTER} Raise its \`timeout\` if it needs longer.`,
      });
    case 'lost':
      return new TowpathError({
        code: 'migration.interrupted',
        what: `${it} was under way when its server ended, and how it ended was not seen.`,
        fix: AFTER,
      });
    default:
      return outcome satisfies never;
  }
}

function failed(what: string): TowpathError {
  return new TowpathError({ code: 'migration.failed', what, fix: `Read the log of the promotion. ${AFTER}` });
}

/** Two that looked before either had begun: one of them was taken for dead. */
function begunElsewhere(service: string, place: string): TowpathError {
  return new TowpathError({
    code: 'migration.elsewhere',
    what: `The migration of ${service} in ${place} was begun by another server while this one made ready for it.`,
    fix: 'Nothing is to be done: that server goes on with the promotion.',
  });
}

function noJobs({ name }: DeployDriver, migrations: readonly Migration[]): TowpathError {
  return new TowpathError({
    code: 'deploy.no-jobs',
    what: `The ${name} driver runs no migrations, and ${migrations.map(({ service }) => service).join(', ')} has one.`,
    fix: 'Deploy it there by a driver that does, or take `migrate` out of the service and run it where it is deployed.',
  });
}
