import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, test } from 'vitest';

import { debianRegistryHost } from '../../../tools/test-machine/machine.ts';
import { createEmbeddedRegistry } from '../embedded/embedded.ts';
import { serve } from './served.ts';
import type { Served } from './served.ts';
import { talkTo } from './talk.ts';
import type { Talk } from './talk.ts';

/** What distribution-spec 1.1 asks at an endpoint (`end-3`), how strictly, in a sentence, and how that is proven. */
export type Requirement = readonly [
  endpoint: `end-${number}${'' | 'a' | 'b' | 'c'}`,
  level: 'MUST' | 'SHOULD' | 'MAY',
  says: string,
  proof: (talk: Talk) => Promise<void>,
];

/**
 * A section of the specification, proven by the embedded registry, and by Debian's, which another maker wrote: it shows
 * that the proofs themselves are right.
 * @param debianLacks sentences that registry (distribution 2.8) does not keep; they must fail there
 */
export function requirements(
  section: string,
  table: readonly Requirement[],
  { debianLacks = [] }: { readonly debianLacks?: readonly string[] } = {},
): void {
  const unknown = debianLacks.filter((sentence) => !table.some(([, , says]) => says === sentence));
  if (unknown.length > 0) throw new Error(`No requirement says: ${unknown.join('; ')}`);
  describe(section, () => {
    describe('embedded', () => {
      let directory: string;
      let served: Served;
      beforeAll(async () => {
        directory = await mkdtemp(join(tmpdir(), 'towpath-conformance-'));
        served = await serve(async (host) => {
          const embedded = await createEmbeddedRegistry({ directory, host });
          return (request, response) => void embedded.handle(request, response);
        });
      });
      afterAll(async () => {
        await served.close();
        await rm(directory, { recursive: true });
      });
      for (const [endpoint, level, says, proof] of table) {
        test(`${endpoint} ${level}: ${says}`, async () => proof(talkTo(served.host)));
      }
    });
    describe('distribution 2.8', () => {
      for (const [endpoint, level, says, proof] of table) {
        const lacks = debianLacks.includes(says);
        const name = `${endpoint} ${level}: ${lacks ? 'does not keep: ' : ''}${says}`;
        (lacks ? test.fails : test)(name, async () => proof(talkTo(await debianRegistryHost())));
      }
    });
  });
}
