import { z } from 'zod';

import { type TestEntry, testImages } from '../../../../container/testing/images.ts';
import { fixedClock } from '../../../../lib/clock.ts';
import { type Digest, sha256 } from '../../../../lib/digest.ts';
import type { CheckAnswer, ScanTools } from '../../../kind.ts';
import { copyingRunner } from '../../../testing/copying-runner.ts';
import { memorySource } from '../../../testing/source.ts';
import { advisoriesIn } from '../advisories/folder.ts';
import { scan } from '../scan.ts';

export interface AskedScan {
  readonly layers: readonly (readonly TestEntry[])[];
  /** The folder of advisories; none. */
  readonly database?: string;
  readonly ecr?: ScanTools['ecr'];
  /** What stands below `scan` in the definition. */
  readonly wish?: object;
  /** Takes what is logged. */
  readonly lines?: string[];
  /** Takes what is kept. */
  readonly kept?: Buffer[];
  /** Every file of the default branch. */
  readonly ruling?: string;
  readonly nowMs: number;
}

/** Asks a scan of an image with these layers. */
export async function askScan(asked: AskedScan): Promise<{ readonly answer: CheckAnswer; readonly digest: Digest }> {
  const { layers, database = '/nowhere', ecr = null, wish = {}, lines = [], kept, ruling, nowMs } = asked;
  const images = testImages();
  const digest = await images.add('shop/web', { layers });
  const store = async (bytes: Buffer): Promise<Digest> => sha256(kept?.[kept.push(bytes) - 1] ?? '');
  const answer = await scan.ask(
    {
      definition: z.strictObject(scan.fields).parse({ scan: wish }),
      check: 'vulnerabilities',
      service: 'web',
      digest,
      commit: '4f2a91c',
      source: memorySource({}),
      parts: [],
      ...(kept === undefined ? {} : { keeper: { patterns: [], store } }),
      ...(ruling === undefined ? {} : { ruling: async () => Buffer.from(ruling) }),
      urls: {},
      name: 'check-1',
      timeoutMs: 60_000,
      log: (line) => lines.push(line),
      signal: new AbortController().signal,
    },
    {
      runner: copyingRunner(),
      image: () => Promise.reject(new Error('nothing runs')),
      directory: '/nowhere',
      sonar: null,
      scanning: {
        imageOf: async () => ({ source: images, repository: 'shop/web', image: digest, platform: 'linux/amd64' }),
        advisories: advisoriesIn(database),
        ecr,
        clock: fixedClock(nowMs),
      },
    },
  );
  return { answer, digest };
}
