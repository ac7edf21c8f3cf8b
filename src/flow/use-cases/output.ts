import { hostname } from 'node:os';

import type { DeployDriver, OutputQuestion, Target } from '../../deploy/driver.ts';
import { environmentNamed, type EnvironmentRow } from '../../environment/environment-store.ts';
import { hasCode, problemOf, TowpathError } from '../../lib/error.ts';
import type { Sql } from '../../store/database.ts';
import { driverOf } from '../deploy-release.ts';
import { targetOf } from '../desired.ts';
import { definitionOf } from '../gather.ts';
import type { House } from '../house.ts';
import { placesIn as placesMeant } from '../places.ts';
import type { OutputBatch, UseCases } from '../use-cases.ts';
import { projectNamed } from './project-named.ts';
import { deploymentsOf } from './views.ts';

/** How many places of replicas a reader may give back. */
const MOST_REPLICAS = 200;

/** What a service prints lies on the machine where it runs, so only a server of that machine can read it. */
export function outputCases(house: House): UseCases['output'] {
  return {
    async open(projectName, environmentName, service) {
      const { db } = house.store;
      const project = await projectNamed(db, projectName);
      const environment = await placeWith(db, project.id, environmentName, service);
      const driver = driverOf(house, definitionOf(environment));
      if (driver.output === undefined) throw noOutput(driver.name);
      const target = await targetOf(house, environment);
      if (!(await isHere(driver, target, service))) {
        const running = (await deploymentsOf(db, [environment.id])).map((row) => row.service);
        throw running.includes(service) ? elsewhere(service, target) : unknown(service, target, running);
      }
      const output = driver.output.bind(driver);
      return ({ tail, follow, after }, signal) =>
        batches(db, (question) => output(target, question), { service, tail, follow, after: placesIn(after), signal });
    },
  };
}

/** Of the places that a name means, the one where the service runs; else the first. */
async function placeWith(db: Sql, projectId: string, name: string, service: string): Promise<EnvironmentRow> {
  const places = await placesMeant(db, projectId, name);
  const running = await deploymentsOf(
    db,
    places.map(({ id }) => id),
  );
  const found = running.find((row) => row.service === service);
  return places.find(({ id }) => id === found?.environmentId) ?? environmentNamed(db, projectId, name);
}

async function* batches(
  db: Sql,
  output: (question: OutputQuestion) => ReturnType<NonNullable<DeployDriver['output']>>,
  question: OutputQuestion,
): AsyncGenerator<OutputBatch> {
  const places = new Map(question.after);
  const numbers = new Map<string, number | null>();
  for await (const { replica, operation, lines, note, place } of output(question)) {
    if (!numbers.has(operation)) numbers.set(operation, await promotionNumber(db, operation));
    places.delete(replica);
    places.set(replica, place); // the newest last: those that are gone for long are forgotten first
    const [oldest] = places.keys();
    if (places.size > MOST_REPLICAS && oldest !== undefined) places.delete(oldest);
    const seq = [...places].map((pair) => pair.join('=')).join(',');
    yield { replica, promotion: numbers.get(operation) ?? null, lines, note, seq, ended: false };
  }
  if (question.signal.aborted) return;
  yield { replica: '', promotion: null, lines: [], note: null, seq: '', ended: true };
}

async function isHere(driver: DeployDriver, target: Target, service: string): Promise<boolean> {
  try {
    return ((await driver.observe(target)).services[service]?.replicas.length ?? 0) > 0;
  } catch (error) {
    if (!hasCode(error, 'docker.unreachable')) throw error;
    const { code, what, fix } = problemOf(error);
    throw new TowpathError({
      code,
      what: `${what} So this server (on ${hostname()}) cannot read what ${service} prints.`,
      fix: `${fix} If ${target.environment} runs on another machine, ask the server there: --server URL.`,
    });
  }
}

/** An operation is a promotion, or what put back the release before it. */
async function promotionNumber(db: Sql, operation: string): Promise<number | null> {
  const id = operation.replace(/-back$/, '');
  const row = await db.selectFrom('promotion').select('number').where('id', '=', id).executeTakeFirst();
  return row?.number ?? null;
}

/** What a reader gives back. What makes no sense is left out: then a replica is read from its beginning. */
function placesIn(text: string | undefined): Map<string, string> {
  const pairs = (text ?? '').split(',').flatMap((pair): [string, string][] => {
    const [, replica, place] = /^([a-z0-9-]{1,40})=([0-9A-Za-z:.-]{1,60})$/.exec(pair) ?? [];
    return replica === undefined || place === undefined ? [] : [[replica, place]];
  });
  return new Map(pairs.slice(-MOST_REPLICAS));
}

function noOutput(driver: string): TowpathError {
  return new TowpathError({
    code: 'deploy.no-output',
    what: `The driver "${driver}" does not give what services print.`,
    fix: 'Read it where they run.',
  });
}

function elsewhere(service: string, { environment }: Target): TowpathError {
  return new TowpathError({
    code: 'output.elsewhere',
    what: `What "${service}" prints in ${environment} is kept on the machine where it runs, and no replica of it is known to this server (on ${hostname()}).`,
    fix: 'Ask the server on the machine that deployed it: --server URL, or TOWPATH_SERVER.',
  });
}

function unknown(service: string, { environment }: Target, running: readonly string[]): TowpathError {
  const names = running.length === 0 ? 'Nothing runs there yet.' : `Name one of: ${running.join(', ')}.`;
  return new TowpathError({
    code: 'output.unknown',
    what: `No service "${service}" runs in ${environment}.`,
    fix: `${names} \`towpath status\` shows what runs where.`,
  });
}
