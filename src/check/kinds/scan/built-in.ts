import { setImmediate as others } from 'node:timers/promises';

import type { Advisories, Advisory } from '../../advisory.ts';
import { affects, nameIn } from './advisories/affects.ts';
import { ratingOf } from './advisories/severity.ts';
import type { InstalledPackage } from './packages/package.ts';
import { sameOnce } from './same.ts';
import { lookUp, type Scanner, type Vulnerability } from './scanner.ts';

/** Matches packages with the advisories of this server: nothing is installed, and no network asked. */
export function builtInScanner(advisories: Advisories): Scanner {
  return {
    name: 'built-in 1',
    scan: (packages) =>
      lookUp(advisories, packages, async (known, database) => {
        const records = byPackage(await database.about(known));
        const vulnerabilities: Vulnerability[] = [];
        for (const installed of known) {
          const about = records.get(keyOf(installed));
          if (about === undefined) continue;
          await others();
          vulnerabilities.push(...sameOnce([...about].flatMap((record) => vulnerabilityOf(record, installed))));
        }
        return vulnerabilities;
      }),
  };
}

function byPackage(records: readonly Advisory[]): ReadonlyMap<string, Set<Advisory>> {
  const found = new Map<string, Set<Advisory>>();
  for (const record of records)
    for (const { package: named } of record.affected ?? [])
      if (named !== null && named !== undefined)
        found.set(keyOf(named), (found.get(keyOf(named)) ?? new Set()).add(record));
  return found;
}

function vulnerabilityOf(record: Advisory, installed: InstalledPackage): Vulnerability[] {
  const found = affects(record, installed);
  if (found === null) return [];
  const { fixed, affected } = found;
  const { id, aliases } = record;
  return [{ installed, id, aliases: aliases ?? [], rating: ratingOf(record, affected), fixed }];
}

function keyOf(named: { readonly ecosystem: string; readonly name: string }): string {
  return `${named.ecosystem}\0${nameIn(named)}`;
}
