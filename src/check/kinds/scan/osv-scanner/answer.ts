import { z } from 'zod';

import { Advisory } from '../../../advisory.ts';
import { shorten } from '../../../report/report.ts';
import { affects, nameIn } from '../advisories/affects.ts';
import { ratingOf } from '../advisories/severity.ts';
import { familyOf, type InstalledPackage } from '../packages/package.ts';
import { sameOnce } from '../same.ts';
import type { Scanned, Vulnerability } from '../scanner.ts';

const Answer = z.object({
  results: z.array(
    z.object({
      packages: z.array(
        z.object({
          package: z.object({ name: z.string(), version: z.string(), ecosystem: z.string() }),
          vulnerabilities: z.array(Advisory).nullish(),
        }),
      ),
    }),
  ),
});

export interface ProgramEnd {
  /** Null when it was ended by a signal. */
  readonly code: number | null;
  readonly output: string;
  /** What it said besides. */
  readonly said: string;
}

/**
 * What osv-scanner found. It writes a whole answer without a finding also where it had nothing to look into, so its exit code
 * comes first; and each package that it was asked about must be in the answer.
 * @see https://google.github.io/osv-scanner/output/#return-codes
 */
export function vulnerabilitiesIn(
  { code, output, said }: ProgramEnd,
  asked: readonly InstalledPackage[],
): Extract<Scanned, { kind: 'broken' }> | readonly Vulnerability[] {
  if (code !== 0 && code !== 1) return broken(`ended with ${code ?? 'a signal'}: ${shorten(lastLine(said), 200)}`);
  const answer = Answer.safeParse(jsonOf(output));
  if (!answer.success) return broken('did not answer in the shape that it has');
  const told = answer.data.results.flatMap(({ packages }) => packages);
  const byPackage = new Map(told.map((one) => [keyOf(one.package), one.vulnerabilities ?? []]));
  const passedOver = asked.filter((installed) => !byPackage.has(keyOf(installed)));
  if (passedOver.length > 0) return broken(`passed over ${passedOver[0]?.name} and ${passedOver.length - 1} more`);
  const found = asked.flatMap((installed) =>
    sameOnce((byPackage.get(keyOf(installed)) ?? []).map((advisory) => vulnerabilityOf(advisory, installed))),
  );
  const isSaid = code === 1;
  if (isSaid !== found.length > 0) return broken(`ended with ${code}, and named ${found.length} vulnerabilities`);
  return found;
}

function vulnerabilityOf(advisory: Advisory, installed: InstalledPackage): Vulnerability {
  const { id, aliases } = advisory;
  const found = affects(advisory, installed);
  const rating = ratingOf(advisory, found?.affected ?? advisory.affected ?? []);
  return { installed, id, aliases: aliases ?? [], rating, fixed: found?.fixed ?? [] };
}

/** It calls Debian 12 `Debian`. */
function keyOf({ ecosystem, name, version }: Pick<InstalledPackage, 'ecosystem' | 'name' | 'version'>): string {
  return [familyOf(ecosystem), nameIn({ ecosystem, name }), version].join('\0');
}

function broken(what: string): Extract<Scanned, { kind: 'broken' }> {
  return { kind: 'broken', why: `osv-scanner ${what}` };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
