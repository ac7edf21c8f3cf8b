import { type Pin, usersAtHeads } from '../../artifact/pin-store.ts';
import { baseServicesOf, standingsOf } from '../../environment/standing-store.ts';
import type { Digest } from '../../lib/digest.ts';
import { TowpathError } from '../../lib/error.ts';
import { nearestWord } from '../../lib/nearest.ts';
import { pinsInUse } from '../backing.ts';
import type { House } from '../house.ts';
import type { Sql } from '../../store/database.ts';
import { moveBases, planRefresh } from '../refresh-bases.ts';
import type { UseCases } from '../use-cases.ts';
import type { BaseView } from '../view/base.ts';
import { projectNamed } from './project-named.ts';

export function baseCases(house: House): UseCases['bases'] {
  const { db } = house.store;
  return {
    async list(project) {
      const { id } = await projectNamed(db, project);
      return listBases(db, id);
    },
    async refresh({ project, reference, dryRun = false }, by) {
      const { id } = await projectNamed(db, project);
      const plan = await planRefresh(house, chosen(await pinsInUse(db, id), reference));
      const moves = dryRun ? plan.moves : await moveBases(house, id, plan, by);
      return { dryRun, moves, same: plan.same, failed: plan.failed };
    },
  };
}

async function listBases(db: Sql, projectId: string): Promise<BaseView[]> {
  const standings = await standingsOf(db, projectId);
  const oldOf = (kind: BaseView['kind'], base: string, now: Digest): BaseView['old'] =>
    standings
      .filter((one) => one.kind === kind && one.base === base && one.digest !== now)
      .map(({ environment, service, digest }) => ({ environment, service, digest }));
  const users = await usersAtHeads(db, projectId, 'parents');
  const services = (await baseServicesOf(db, projectId)).map(({ service, digest, commit, since }): BaseView => ({
    kind: 'service',
    reference: service,
    digest,
    by: commit,
    since: since.toISOString(),
    askedAt: null,
    services: users.filter(({ name }) => name === service).map((user) => user.service),
    old: oldOf('service', service, digest),
  }));
  const pins = (await pinsInUse(db, projectId)).map(({ since, askedAt, ...pin }): BaseView => ({
    ...pin,
    kind: 'outside',
    since: since.toISOString(),
    askedAt: askedAt.toISOString(),
    old: oldOf('outside', pin.reference, pin.digest),
  }));
  return [...services, ...pins];
}

function chosen(pins: readonly Pin[], reference: string | undefined): Pin[] {
  if (reference === undefined) return pins.filter(({ services }) => services.length > 0);
  const found = pins.filter((pin) => pin.reference === reference);
  if (found.length > 0) return found;
  const known = pins.map((pin) => pin.reference);
  const nearest = nearestWord(reference, known);
  throw new TowpathError({
    code: 'base.unknown',
    what: `This project has no pin of "${reference}".${nearest === undefined ? '' : ` Was ${nearest} meant?`}`,
    fix: known.length === 0 ? 'Nothing was built upon a base image yet.' : `Name one of: ${known.join(', ')}.`,
  });
}
