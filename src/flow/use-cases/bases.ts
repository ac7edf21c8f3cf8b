import { listPins, type Pin } from '../../artifact/pin-store.ts';
import { TowpathError } from '../../lib/error.ts';
import { nearestWord } from '../../lib/nearest.ts';
import type { House } from '../house.ts';
import { moveBases, planRefresh } from '../refresh-bases.ts';
import type { UseCases } from '../use-cases.ts';
import { projectNamed } from './project-named.ts';

export function baseCases(house: House): UseCases['bases'] {
  const { db } = house.store;
  return {
    async list(project) {
      const { id } = await projectNamed(db, project);
      return (await listPins(db, id)).map(({ since, askedAt, ...pin }) => ({
        ...pin,
        since: since.toISOString(),
        askedAt: askedAt.toISOString(),
      }));
    },
    async refresh({ project, reference, dryRun = false }, by) {
      const { id } = await projectNamed(db, project);
      const plan = await planRefresh(house, chosen(await listPins(db, id), reference));
      const moves = dryRun ? plan.moves : await moveBases(house, id, plan, by);
      return { dryRun, moves, same: plan.same, failed: plan.failed };
    },
  };
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
