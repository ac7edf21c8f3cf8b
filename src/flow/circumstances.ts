import { hashOfJson } from '../lib/digest.ts';
import type { PathEnvironment } from '../path/path.ts';
import type { Release } from '../release/release.ts';
import { questionsOf } from './question.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';

/**
 * What a release runs under besides its artifacts, as a hash: the environment's driver, registry, variables and references
 * to secrets, how each service is started, and what its `verify` checks ask. Artifacts that failed may do well under others.
 */
export async function circumstancesOf(house: House, definition: PathEnvironment, release: Release): Promise<string> {
  const { deploy, config, secrets, registry, verify, mocks = [], settleMs, timeoutMs } = definition;
  const services = await Promise.all(
    release.services.map(async ({ service, commit }) => {
      const { services: all } = await configAt(house, release.repositoryId, commit);
      const {
        command = null,
        port = null,
        health = null,
        replicas = null,
        limits = null,
        migrate,
      } = all[service] ?? {};
      return { service, command, port, health, replicas, limits, ...(migrate === undefined ? {} : { migrate }) };
    }),
  );
  const questions = await Promise.all(
    verify.map(async (name) => (await questionsOf(house, release, name)).map(({ id }) => id).toSorted()),
  );
  return hashOfJson({
    v: 1,
    deploy,
    config,
    secrets,
    settleMs,
    timeoutMs,
    services,
    questions,
    ...(mocks.length === 0 ? {} : { mocks }),
    ...(registry === undefined ? {} : { registry }),
  });
}
