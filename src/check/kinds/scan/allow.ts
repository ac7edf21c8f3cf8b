import { z } from 'zod';

import { RelativePath } from '../../../lib/fields.ts';
import type { Vulnerability } from './scanner.ts';

const Line = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[^\p{Cc}]+$/u, 'one line of text');
const DAY_MS = 86_400_000;

const Until = z.iso.date('a day such as 2027-01-31').describe('The last day on which it counts (UTC)');
const untilMs = (day: string): number => Date.parse(day) + DAY_MS;

/** An OpenVEX document of the default branch, that somebody answers for, for a time. */
export const VexField = z
  .strictObject({
    file: RelativePath.describe('An OpenVEX document, from the root of the repository, as the default branch has it'),
    owner: Line.describe('Who answers for it'),
    until: Until,
  })
  .transform(({ until, ...entry }) => ({ ...entry, untilMs: untilMs(until) }));

/** A vulnerability that somebody answers for, for a time. */
export const AllowField = z
  .strictObject({
    id: Line.describe('The advisory or one of its other names, such as a CVE'),
    package: Line.optional().describe('The name of the package (any)'),
    owner: Line.describe('Who answers for it'),
    reason: Line.describe('Why it does no harm here'),
    until: Until,
  })
  .transform(({ until, ...entry }) => ({ ...entry, untilMs: untilMs(until) }));
export type Allowance = z.output<typeof AllowField>;

/** The one that counts longest; when none counts any more, the one that did last. */
export function allowanceFor(found: Vulnerability, allow: readonly Allowance[]): Allowance | null {
  const names = new Set([found.id, ...found.aliases]);
  const { name, called } = found.installed;
  const fitting = allow.filter(
    (entry) => names.has(entry.id) && (entry.package === undefined || [name, called].includes(entry.package)),
  );
  return fitting.toSorted((one, other) => other.untilMs - one.untilMs)[0] ?? null;
}
