import { setTimeout as pause } from 'node:timers/promises';

import type { Clock } from '../../../../lib/clock.ts';
import type { Digest } from '../../../../lib/digest.ts';
import { CheckError } from '../../../error.ts';
import type { Scanned, Scanner } from '../scanner.ts';
import { scannedBy } from './answer.ts';
import type { EcrApi, Nothing } from './api.ts';
import type { Asked } from './finding.ts';

const DAY_MS = 86_400_000;

/** After a push a minute may pass before it knows of the image at all. */
const PATIENCE: Patience = { looks: 13, everyMs: 10_000, wait: (ms, signal) => pause(ms, undefined, { signal }) };

interface Patience {
  readonly looks: number;
  readonly everyMs: number;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface EcrQuestion extends Asked {
  readonly repository: string;
  /** Of the manifest of one platform: those are what it scans. */
  readonly manifest: Digest;
  readonly clock: Pick<Clock, 'now'>;
  readonly patience?: Patience;
}

/** Amazon ECR's own scan of the image, basic or enhanced. It is not started from here: ECR scans what is pushed to it. */
export function ecrScanner(api: EcrApi | null, question: EcrQuestion): Scanner {
  const { repository, manifest, clock, ecosystems, installed, patience = PATIENCE } = question;
  return {
    name: 'Amazon ECR',
    // where packages are named that are to be looked at, there must be some
    looksItself: ecosystems === undefined,
    againAfterMs: DAY_MS,
    async scan(_, signal) {
      if (api === null) return { kind: 'no-data', why: 'the images of this installation are not in Amazon ECR' };
      for (let look = 1; ; look++) {
        const found = await api.findings(repository, manifest, signal);
        if (typeof found !== 'string') {
          const scanned = scannedBy(found, { installed, ecosystems, nowMs: clock.now() });
          if (scanned === 'under-way') throw notYet(manifest);
          return scanned;
        }
        if (found !== 'ScanNotFoundException' || look === patience.looks) return nothing(found);
        await patience.wait(patience.everyMs, signal);
      }
    },
  };
}

const MEANINGS: Readonly<Record<Nothing, string>> = {
  ScanNotFoundException: 'Amazon ECR has no scan of the image; switch on scanning for its repository',
  ImageNotFoundException: 'Amazon ECR does not have the image',
  RepositoryNotFoundException: 'Amazon ECR does not have the repository of the image',
};

function nothing(said: Nothing): Scanned {
  return { kind: 'no-data', why: MEANINGS[said] };
}

function notYet(manifest: Digest): CheckError {
  return new CheckError({
    code: 'check.not-yet',
    what: `Amazon ECR has not ended its scan of ${manifest.slice(0, 19)}.`,
    fix: 'Wait: it is asked again every minute.',
  });
}
