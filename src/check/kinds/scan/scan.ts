import { z } from 'zod';

import { readImageFiles } from '../../../container/rootfs/image-files.ts';
import { Duration } from '../../../lib/fields.ts';
import { CheckError } from '../../error.ts';
import { checkKind } from '../../kind.ts';
import { FAMILIES } from './advisories/order.ts';
import { SEVERITIES } from './advisories/severity.ts';
import { AllowField } from './allow.ts';
import { builtInScanner } from './built-in.ts';
import { judge } from './judge.ts';
import { installedIn, saysWhatIsInstalled } from './packages/installed.ts';
import { familyOf } from './packages/package.ts';

const DAY_MS = 86_400_000;

/** Of the files that say what is installed, together. */
const MAX_BYTES = 256 * 1024 * 1024;

const fields = {
  scan: z
    .strictObject({
      failOn: z.enum(SEVERITIES).default('high').describe('The least severity that fails it (high)'),
      unrated: z
        .enum(['fail', 'pass'])
        .default('fail')
        .describe('What a vulnerability does that nobody has rated (fail)'),
      onlyFixed: z.boolean().default(false).describe('Let pass what no version mends yet (false)'),
      ecosystems: z
        .array(z.enum(FAMILIES))
        .min(1)
        .optional()
        .describe('Which packages are looked at (all; what is not named is not seen)'),
      maxAge: Duration.default(7 * DAY_MS).describe('How old the advisories may be (7d)'),
      allow: z.array(AllowField).default([]).describe('What somebody answers for, for a time'),
    })
    .describe('Looks for known vulnerabilities in what is installed in the image'),
};

/**
 * Known vulnerabilities of what is installed in the image: read from its layers, looked up in the advisories of this server.
 * These are no part of the question, else no answer of yesterday could be found; the answer names them, and is asked for again
 * when they have changed.
 */
export const scan = checkKind({
  name: 'scan',
  version: '1',
  fields,
  during: ['release'],
  inputs: () => [],
  async ask({ definition: { scan: wish }, digest, log, signal, timeoutMs }, { scanning }) {
    if (scanning === undefined) throw unable();
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const { source, repository, image, platform } = await scanning.imageOf(digest, deadline);
    const wanted = { platform, wants: saysWhatIsInstalled, maxBytes: MAX_BYTES, signal: deadline };
    const files = await readImageFiles(source, repository, image, wanted).catch((error: unknown) => {
      if (signal.aborted || !deadline.aborted) throw error;
      return null;
    });
    if (files === null) return { verdict: 'error', summary: 'the image was not read in time' };
    const { packages: all, unreadable } = installedIn(files);
    const packages = all.filter(({ ecosystem }) => wish.ecosystems?.includes(familyOf(ecosystem)) ?? true);
    for (const [ecosystem, count] of countsOf(packages)) log(`${count} packages of ${ecosystem}`);
    const scanner = builtInScanner(scanning.advisories);
    const scanned = await scanner.scan(packages, deadline);
    const answer = judge({ scanner: scanner.name, packages, unreadable, scanned }, wish, scanning.clock.now());
    for (const { rule, where, message } of answer.findings?.first ?? []) log(`${rule}: ${where}: ${message}`);
    return answer;
  },
});

function countsOf(packages: readonly { readonly ecosystem: string }[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { ecosystem } of packages) counts.set(ecosystem, (counts.get(ecosystem) ?? 0) + 1);
  return counts;
}

function unable(): CheckError {
  return new CheckError({
    code: 'check.cannot-scan',
    what: 'Images cannot be read here.',
    fix: 'Ask the check on a server that holds or reaches the registry.',
  });
}
