import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { fixedClock } from '../../lib/clock.ts';
import { sha256 } from '../../lib/digest.ts';
import { noLog } from '../../lib/log.ts';
import { secretsOf } from '../../secret/secret.ts';
import { fileLedger } from '../ledger-store.ts';
import { instanceId, targetKey } from '../rollout.ts';
import { saveRecord, type ProcessRecord } from './record.ts';
import { type Reviver, reviver } from './revive.ts';

const DAY_MS = 86_400_000;
const target = { project: 'shop', environment: 'prod', slug: 'prod' };
const id = instanceId(target, 'worker', 'one', 0);
const clock = fixedClock(1_800_000_000_000);

let directory: string;
let keeper: Reviver;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-revive-'));
  const folder = join(directory, 'instances', targetKey(target), id);
  await mkdir(folder, { recursive: true });
  const service = { service: 'worker', image: 'host/worker', digest: sha256('v1'), replicas: 1 };
  const record: ProcessRecord = {
    id,
    mark: id,
    index: 0,
    operation: 'one',
    target,
    service: { ...service, env: {}, secrets: {}, limits: {} },
    port: null,
    pid: null,
    startedAtMs: clock.now(),
    revivals: 0,
  };
  await saveRecord(folder, record);
  const ledger = fileLedger(join(directory, 'ledger'));
  await ledger.serve(target, 'worker', [id]);
  keeper = reviver({
    directory: join(directory, 'instances'),
    runtime: {
      list: async () => [], // a program that ends at once, whenever it is started
      stop: async () => undefined,
      revive: ({ revivals, ...rest }) =>
        saveRecord(folder, { ...rest, revivals: revivals + 1, startedAtMs: clock.now() }),
    },
    ledger,
    secrets: secretsOf([]),
    clock,
  });
});
afterEach(() => rm(directory, { recursive: true }));

test('the pause between two starts doubles up to a minute', async () => {
  const pauses: number[] = [];
  for (let starts = 0; starts < 8; starts++) {
    let waitedMs = 0;
    while ((await keeper.revive(noLog)) === 0) {
      clock.advance(1000);
      waitedMs += 1000;
    }
    pauses.push(waitedMs / 1000);
  }
  expect(pauses).toEqual([0, 2, 4, 8, 16, 32, 60, 60]);
});

test('a clock that is set shortens no pause and makes none longer', async () => {
  expect(await keeper.revive(noLog)).toBe(1);
  expect(await keeper.revive(noLog)).toBe(0);
  clock.set(clock.now() + DAY_MS);
  expect(await keeper.revive(noLog)).toBe(0);
  clock.set(clock.now() - 2 * DAY_MS);
  clock.advance(2000);
  expect(await keeper.revive(noLog)).toBe(1);
});
