import { ConfigError } from '../config/problem.ts';
import type { ProjectConfig } from '../config/config.ts';
import { rulingConfig } from '../config/config-store.ts';
import type { EnvironmentRow } from '../environment/environment-store.ts';
import { ranAt } from '../environment/tenure-store.ts';
import { hasCode, TowpathError } from '../lib/error.ts';
import { approvalsOf } from '../path/approval-store.ts';
import type { PromotionFacts } from '../path/facts.ts';
import type { PathEnvironment } from '../path/path.ts';
import { nameOf, type Release } from '../release/release.ts';
import { namesOf, readyAt, releaseById } from '../release/release-store.ts';
import { yankedAt } from '../release/yank-store.ts';
import { repositoryById } from '../source/member-store.ts';
import { headsUntil } from '../source/ref-event-store.ts';
import type { Sql } from '../store/database.ts';
import { circumstancesOf } from './circumstances.ts';
import { contractFacts } from './contract-facts.ts';
import { evidenceFor } from './evidence-for.ts';
import { handsIn, orderBetween, predecessorsOf, unchangedFor } from './gather.ts';
import type { House } from './house.ts';
import { placesOf } from './places.ts';
import { configAt } from './project-config.ts';

export interface FactsAt {
  readonly facts: PromotionFacts;
  /** What was not recorded as of then, in sentences. */
  readonly unknown: readonly string[];
}

/**
 * What a person's wish would have been decided from at an instant: the path as the default branch had it then, and evidence,
 * approvals, yanks and what ran by then.
 * @returns null when the environment was not on the path then
 * @throws TowpathError `path.unknown-then` when no path was read by then
 */
export async function factsAt(
  house: House,
  environment: EnvironmentRow,
  release: Release,
  at: Date,
): Promise<FactsAt | null> {
  const { db } = house.store;
  const ruling = await rulingConfig(db, environment.projectId);
  const path = ruling === null ? null : await configThen(house, ruling.repositoryId, ruling.defaultBranch, at);
  if (path === null || ruling === null) throw unknownThen(at);
  const { name: member, defaultBranch } = await repositoryById(db, release.repositoryId);
  const definition = placesOf(path.config, member)[environment.name];
  if (definition === undefined) return null;
  const own =
    release.repositoryId === ruling.repositoryId
      ? path
      : await configThen(house, release.repositoryId, defaultBranch, at);
  const currentId = await ranAt(db, environment.id, at);
  const current = currentId === null ? null : await releaseById(db, currentId);
  const names = await namesOf(db, [release.id, ...(current === null ? [] : [current.id])]);
  const name = nameOf(release, names.get(release.id) ?? []);
  const isReady = await readyAt(db, release.id, at);
  const checks = definition.gates.flatMap((gate) => (gate.kind === 'check' ? [gate.name] : []));
  const facts: PromotionFacts = {
    now: at.getTime(),
    promotion: { kind: 'promotion', automatic: false, requestedBy: 'somebody' },
    environment: {
      name: environment.name,
      accepts: definition.accepts,
      from: definition.from,
      gates: definition.gates,
      hold: null,
    },
    release: {
      name,
      state: isReady ? 'ready' : 'failed',
      problem: isReady ? null : `it had no artifacts at ${at.toISOString()}.`,
      mixed: release.mixed,
      yanked: await yankedAt(db, release, at),
      nearest: [],
    },
    order: await orderBetween(house, environment, current, release),
    currentName: current === null ? null : nameOf(current, names.get(current.id) ?? []),
    predecessors: await predecessorsOf(house, environment, definition.from, release, at),
    protectedBranch: defaultBranch,
    evidence: await evidenceFor(house, release, checks, true, { at, commit: own?.commit ?? null }),
    contracts: await contractFacts(house, environment, definition, release, { at, commit: own?.commit ?? null }),
    approvals: await approvalsThen(house, environment, definition, release, at),
    roles: path.config.roles,
    users: path.config.users,
    ...(await handsIn(house, current, release)),
    failedHere: null,
    unchanged: await unchangedFor(house, environment, definition, release, name),
  };
  return { facts, unknown: unknownOf(definition, release, isReady) };
}

interface ConfigThen {
  readonly commit: string;
  readonly config: ProjectConfig;
}

/** The newest that could be read: a head that cannot be leaves the one before in force. */
async function configThen(house: House, repositoryId: string, branch: string, at: Date): Promise<ConfigThen | null> {
  const heads = await headsUntil(house.store.db, repositoryId, `refs/heads/${branch}`, at, HEADS_LOOKED_AT);
  for (const commit of heads) {
    const config = await configAt(house, repositoryId, commit).catch((error: unknown) => {
      if (error instanceof ConfigError || hasCode(error, 'config.missing')) return null;
      throw error;
    });
    if (config !== null) return { commit, config };
  }
  return null;
}

const HEADS_LOOKED_AT = 20;

/** Of the promotion of the release that was open there then. */
async function approvalsThen(
  house: House,
  environment: EnvironmentRow,
  definition: PathEnvironment,
  release: Release,
  at: Date,
): Promise<PromotionFacts['approvals']> {
  const id = await openAt(house.store.db, environment.id, release.id, at);
  if (id === null) return [];
  const circumstances = await circumstancesOf(house, definition, release);
  return (await approvalsOf(house.store.db, id, at)).map(({ at: given, circumstances: its, ...voice }) => ({
    ...voice,
    at: given.getTime(),
    forThis: its === circumstances,
  }));
}

async function openAt(db: Sql, environmentId: string, releaseId: string, at: Date): Promise<string | null> {
  const row = await db
    .selectFrom('promotion')
    .select('id')
    .where('release_id', '=', releaseId)
    .where('environment_id', '=', environmentId)
    .where('kind', '=', 'promotion')
    .where('created_at', '<=', at)
    .where((eb) => eb.or([eb('ended_at', 'is', null), eb('ended_at', '>', at)]))
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.id ?? null;
}

function unknownOf(definition: PathEnvironment, release: Release, isReady: boolean): string[] {
  return [
    'It is the answer to a person who asks: a hold, and a failure there before, bar only what comes by itself.',
    'What runs beside checks is what its images are pinned to today: where that was another, an answer of then is not found.',
    ...(definition.gates.some(({ kind }) => kind === 'unchanged')
      ? ['What branches had these artifacts is read as it is known today.']
      : []),
    ...(isReady || release.state === 'building'
      ? []
      : ['Artifacts that were given up since are taken as not there: when they were is not kept.']),
  ];
}

function unknownThen(at: Date): TowpathError {
  return new TowpathError({
    code: 'path.unknown-then',
    what: `No path of this project was read by ${at.toISOString()}.`,
    fix: 'Ask for a later time, or without one.',
  });
}
