import { judge } from '../deploy/judge.ts';
import type { Desired, DeployDriver, Observed, Target } from '../deploy/driver.ts';
import { recordDriver, recordDrivers } from '../environment/ending-store.ts';
import { forgetUnusedEndpoints } from '../environment/endpoint-store.ts';
import { type EnvironmentRow, environmentsOf } from '../environment/environment-store.ts';
import { environmentOf } from '../environment/place.ts';
import type { Digest } from '../lib/digest.ts';
import { hasCode, type Problem, problemOf, TowpathError } from '../lib/error.ts';
import type { LogLine } from '../lib/log.ts';
import { untilTrue } from '../lib/until.ts';
import type { PathEnvironment } from '../path/path.ts';
import { lockPromotion } from '../path/promotion-store.ts';
import { isWorking } from '../path/promotion.ts';
import type { Release } from '../release/release.ts';
import type { Sql } from '../store/database.ts';
import { openLog } from '../store/log-store.ts';
import { askAfterDeployment } from './ask.ts';
import { desire } from './desired.ts';
import type { House } from './house.ts';
import { move } from './move.ts';

export interface Deployment {
  readonly promotionId: string;
  readonly environment: EnvironmentRow;
  readonly definition: PathEnvironment;
  readonly release: Release;
  readonly operation: string;
  readonly signal: AbortSignal;
  readonly token: bigint;
}

/** What was seen running, as the store keeps it. */
export interface Watched {
  readonly services: readonly {
    readonly service: string;
    readonly digest: Digest;
    readonly url: string | null;
    readonly observed: boolean;
  }[];
  readonly note: string;
}

/** Brings a release in: plans against what is there, and applies. Repeating it with the same operation changes nothing. */
export async function deployRelease(house: House, deployment: Deployment): Promise<void> {
  const log = openLog(house.store, await logOf(house, deployment.promotionId));
  try {
    const driver = driverOf(house, deployment.definition);
    requireEnding(driver, deployment.environment);
    const { desired, functions } = await desire(house, deployment);
    const actions = driver.plan(desired, await driver.observe(desired.target));
    log.line(
      `${deployment.environment.name}: ${actions.length} action${actions.length === 1 ? '' : 's'} by the ${driver.name} driver.`,
    );
    for (const { summary } of actions) log.line(`  ${summary}`);
    for (const service of functions)
      log.line(
        `  ${service} is a function, which the ${driver.name} driver does not run: it is promoted by its digest alone.`,
      );
    await recordDriver(house.store.db, deployment.environment.id, driver.name);
    const waitMs = driver.waitMs?.(desired.config) ?? 0;
    await withDeadline(deployment, waitMs, log.line, (signal, line) =>
      driver.apply(desired, actions, {
        log: line,
        signal,
        token: deployment.token,
        waits: (what) => tellWait(house, deployment, what),
      }),
    );
  } catch (error) {
    // between our look and its opening another program took the port: the next try gets another one
    if (hasCode(error, 'proxy.port-taken')) await forgetUnusedEndpoints(house.store.db, deployment.environment.id);
    throw error;
  } finally {
    await log.end();
  }
}

/** Invariant 14: whoever looks at the promotion sees it. */
async function tellWait(house: House, { promotionId, token }: Deployment, what: string | null): Promise<void> {
  await house.store.transaction(async (tx) => {
    const promotion = await lockPromotion(tx, promotionId);
    if (promotion === null || !isWorking(promotion.state)) return;
    const detail = what === null ? {} : { note: `Waits for ${what}.` };
    await move(tx, promotionId, { to: promotion.state, token, detail });
  });
}

/**
 * Invariant 2: live is what was seen, not what was asked for. Every replica has the digest and is healthy, and stays so for
 * the settle time; then the environment's own checks are asked.
 */
export async function verifyRelease(house: House, deployment: Deployment): Promise<Watched> {
  const log = openLog(house.store, await logOf(house, deployment.promotionId));
  try {
    const driver = driverOf(house, deployment.definition);
    const { desired, functions } = await desire(house, deployment);
    const observed = await settle(house, deployment, driver, desired);
    const sight = sightOf(driver, observed);
    log.line(proofOf(sight, deployment.definition.settleMs));
    await endOthers(house, deployment, driver, desired.target, log.line);
    const services = desired.services.map(({ service, digest }) => ({
      service,
      digest,
      url: observed.services[service]?.url ?? null,
      observed: sight.kind !== 'unseen',
    }));
    const urls = {
      ...(await urlsBeside(house.store.db, deployment.environment)),
      ...Object.fromEntries(services.flatMap(({ service, url }) => (url === null ? [] : [[service, url]]))),
    };
    await askAfterDeployment(house, { ...deployment, urls, log: log.line });
    return { services, note: noteOf(services.length, functions, sight, deployment.definition.registry) };
  } finally {
    await log.end();
  }
}

/** Checks may ask the services of the project's other repositories, where they run in the same environment. */
async function urlsBeside(db: Sql, { id, projectId, name }: EnvironmentRow): Promise<Record<string, string>> {
  const beside = (await environmentsOf(db, projectId)).filter(
    (one) => one.id !== id && environmentOf(one.name) === environmentOf(name),
  );
  const rows = await deploymentUrls(
    db,
    beside.map((one) => one.id),
  );
  return Object.fromEntries(rows.flatMap(({ service, url }) => (url === null ? [] : [[service, url]])));
}

async function deploymentUrls(db: Sql, ids: readonly string[]): Promise<{ service: string; url: string | null }[]> {
  if (ids.length === 0) return [];
  return db
    .selectFrom('deployment')
    .select(['service', 'url'])
    .where('environment_id', 'in', [...ids])
    .execute();
}

/** An environment whose driver was changed has two of each for a moment: the new ones are healthy, so the old ones go. */
async function endOthers(
  house: House,
  { environment, signal, token }: Deployment,
  driver: DeployDriver,
  target: Target,
  log: LogLine,
): Promise<void> {
  const left = [driver.name];
  let problem: Problem | null = null;
  for (const other of house.drivers.values()) {
    if (other.name === driver.name) continue;
    const hasSome = environment.drivers.includes(other.name);
    try {
      if (other.handOver !== undefined) await other.handOver(target, { log, signal, token });
      else if (hasSome) left.push(other.name);
    } catch (error) {
      signal.throwIfAborted();
      if (!hasSome) continue; // what it works with may not be here at all
      left.push(other.name);
      const { code, what, fix } = problemOf(error);
      problem = {
        code,
        what: `What the ${other.name} driver ran here before could not be ended, which the next deployment tries again: ${what}`,
        fix,
      };
      log(`${problem.what} ${problem.fix}`);
    }
  }
  await recordDrivers(house.store.db, environment.id, left, problem);
}

/** Who saw it run: we, replica by replica; whoever deploys it, who tells; or nobody. */
type SeenBy = { readonly kind: 'seen' } | { readonly kind: 'unseen' } | { readonly kind: 'told'; readonly by: string };

function sightOf({ lacks }: DeployDriver, observed: Observed): SeenBy {
  if (!lacks.includes('replicas')) return { kind: 'seen' };
  const told = Object.values(observed.services).map((service) => service.told);
  const [first] = told;
  return first !== undefined && !told.includes(undefined) ? { kind: 'told', by: first.by } : { kind: 'unseen' };
}

function proofOf(sight: SeenBy, settleMs: number): string {
  switch (sight.kind) {
    case 'seen':
      return `Every replica runs the digest that was asked for, healthy for ${settleMs} ms.`;
    case 'told':
      return `${sight.by} tells that the digests that were asked for run, healthy for ${settleMs} ms.`;
    case 'unseen':
      return 'It stands committed as it was asked for. What runs is not observed.';
    default:
      return sight satisfies never;
  }
}

function noteOf(running: number, functions: readonly string[], sight: SeenBy, registry: string | undefined): string {
  const count = `${running} service${running === 1 ? '' : 's'}`;
  const from = registry === undefined ? '' : `, images from ${registry}`;
  const by = sight.kind === 'told' ? ` by ${sight.by}` : '';
  const seen = `${sight.kind === 'unseen' ? `Committed, not observed: ${count}` : `Live: ${count} seen healthy${by}`}${from}`;
  return functions.length === 0 ? `${seen}.` : `${seen}; not run here: ${functions.join(', ')}.`;
}

async function settle(house: House, deployment: Deployment, driver: DeployDriver, desired: Desired): Promise<Observed> {
  let goodSince: number | null = null;
  let last: Observed = { services: {} };
  let wrong = 'nothing was seen yet';
  const settled = await untilTrue(
    async () => {
      last = await driver.observe(desired.target);
      const verdict = judge(desired, last);
      if (verdict.kind === 'wrong') wrong = verdict.what;
      goodSince = verdict.kind === 'good' ? (goodSince ?? house.clock.elapsed()) : null;
      return goodSince !== null && house.clock.elapsed() - goodSince >= deployment.definition.settleMs;
    },
    { everyMs: 150, timeoutMs: deployment.definition.timeoutMs, signal: deployment.signal },
  );
  if (settled) return last;
  throw new TowpathError({
    code: 'deploy.not-healthy',
    what: `${deployment.environment.name} did not become healthy in time: ${wrong}.`,
    fix: 'Read the log of the promotion and of the service.',
  });
}

/** A preview goes with its branch: where nothing is ended it would stay, and the next one would write over it. */
function requireEnding({ name, lacks }: DeployDriver, environment: EnvironmentRow): void {
  if (environment.previewBranch === null || !lacks.includes('end')) return;
  throw new TowpathError({
    code: 'deploy.no-previews',
    what: `${environment.name} is a preview, and the ${name} driver ends nothing that it brought somewhere.`,
    fix: 'Let previews be deployed by another driver.',
  });
}

/**
 * What it was at when the time was over is said.
 * @param waitMs how much longer it may take because people have to do something for it
 */
async function withDeadline<T>(
  { definition, environment, signal }: Deployment,
  waitMs: number,
  log: LogLine,
  work: (signal: AbortSignal, log: LogLine) => Promise<T>,
): Promise<T> {
  const timeoutMs = definition.timeoutMs + waitMs;
  const deadline = AbortSignal.timeout(timeoutMs);
  let last = 'nothing';
  const line: LogLine = (text) => {
    last = text.trim();
    log(text);
  };
  try {
    return await work(AbortSignal.any([signal, deadline]), line);
  } catch (error) {
    if (!deadline.aborted || signal.aborted) throw error;
    throw new TowpathError({
      code: 'deploy.timeout',
      what: `The deployment to ${environment.name} took longer than ${timeoutMs / 1000} s. The last that its driver said is: ${last.slice(0, 300)}.`,
      fix: 'Read the log of the promotion; raise `timeout` of the environment if it needs longer.',
    });
  }
}

export function driverOf(house: House, definition: PathEnvironment): DeployDriver {
  return driverNamed(house, definition.deploy.driver);
}

export function driverNamed(house: House, name: string): DeployDriver {
  const driver = house.drivers.get(name);
  if (driver !== undefined) return driver;
  throw new TowpathError({
    code: 'deploy.no-driver',
    what: `This server cannot use the driver "${name}".`,
    fix: `Use one of: ${[...house.drivers.keys()].join(', ')}. A driver of another is named when each server is started, by --driver.`,
  });
}

export async function logOf(house: House, promotionId: string): Promise<string> {
  const row = await house.store.db
    .selectFrom('promotion')
    .select('log_id')
    .where('id', '=', promotionId)
    .executeTakeFirstOrThrow();
  return row.log_id;
}
