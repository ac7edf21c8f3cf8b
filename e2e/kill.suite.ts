import { afterAll, describe, expect, test } from 'vitest';

import { externalPostgresUrl } from '../tools/test-machine/machine.ts';
import { decideBlindly } from './testing/kill/by-hand.ts';
import { finished } from './testing/kill/operations.ts';
import { moment, pictureSince } from './testing/kill/picture.ts';
import { createPool } from './testing/kill/pool.ts';
import { embeddedStage, sharedStage } from './testing/kill/stage.ts';
import { eachOnce, stepsForgotten, tellStory } from './testing/kill/story.ts';

/**
 * The server is ended by SIGKILL at every boundary of every step, and what an operation leaves behind is what it leaves
 * without a kill. The boundaries are those that the workflows pass when the story is told once; nobody wrote the list.
 */
const kills = await tellStory();

/** How long it may take until somebody goes on where the killed server ended, and until all is done on a busy machine. */
const TAKEN_OVER_WITHIN_MS = 120_000;
const DONE_WITHIN_MS = 180_000;

const TIMEOUT_MS = 1_200_000;

/** Much of the time is waiting: for a server to start, and where there are two, for a lease to run out. */
const setUps = [
  { name: 'one server with its own Postgres', open: embeddedStage, sideBySide: 3, kills },
  {
    name: 'two workers on an external Postgres',
    open: async () => sharedStage(await externalPostgresUrl()),
    sideBySide: 4,
    kills: eachOnce(kills),
  },
];

describe.each(setUps)('on $name', ({ open, sideBySide, kills }) => {
  const pool = createPool(open, sideBySide);
  afterAll(() => pool.dispose(), 120_000);

  test.concurrent.each(kills)(
    'killed at $boundary, $operation.name ends as without it',
    { timeout: TIMEOUT_MS },
    ({ operation, boundary, picture }) =>
      pool.withStage(async (stage) => {
        await operation.prepare(stage);
        const before = await moment(stage);
        await stage.arm(boundary);
        const over = await operation.perform(stage);
        await stage.killed(operation.isResumed ?? true);
        await stage.takenOver(TAKEN_OVER_WITHIN_MS);
        await finished(stage, over, DONE_WITHIN_MS);
        expect(await pictureSince(stage, before)).toEqual(picture);
        await stage.heal();
        await operation.tidy(stage);
      }),
  );
});

/** Steps that come only when something outside was away for as long as was tried; no kill is told of them. */
const AT_THE_END_OF_ALL_TRIES = ['build.ts: give-up', 'build.ts: later', 'check.ts: unanswered'];

/** A run whose promotion was ended mostly hears of it before it finds out between two steps. */
const BY_CHANCE = ['promote.ts: give-back'];

test('the story passes every step that the workflows have, but for the ends of all tries', async () => {
  expect((await stepsForgotten(kills)).toSorted()).toEqual([...AT_THE_END_OF_ALL_TRIES, ...BY_CHANCE]);
});

test('without a kill nothing is wrong at the end', () => {
  const wrong = kills.flatMap(({ operation, picture }) => picture.wrong.map((what) => `${operation.name}: ${what}`));
  expect(new Set(wrong)).toEqual(new Set([`${decideBlindly.name}: a promotion is open: waiting`]));
});
