import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { cancelUnderway, decideBlindly, failAndReturn, failForGood, rollBack } from './by-hand.ts';
import { arriveKnown, arriveNew, closePreview, finished, openPreview, type Operation } from './operations.ts';
import { moment, type Picture, pictureSince } from './picture.ts';
import { changeBase, nameMember, refreshBase, reportBuilt, reportEarly } from './rafts.ts';
import { setScene } from './scene.ts';
import { embeddedStage, type Stage } from './stage.ts';
import { stateYank } from './statements.ts';
import { sweepRegistry } from './sweep.ts';

/** One operation to be killed at one boundary, and what it has to leave behind. */
export interface Kill {
  readonly operation: Operation;
  /** With `#n` where it is the n-th time that the operation passes it. */
  readonly boundary: string;
  readonly picture: Picture;
}

/**
 * The operations, cheapest last; each is killed in the workflows named here. What a push has in common with a new branch
 * is killed once; a rollback takes the whole of `promote` again. The second look at a report is that of one whose commit is there.
 * The first path that is laid when a member is named is that of its home. After a cancel only what puts back comes to its end.
 * Of all that a sweep moves aside, the first is as good as any.
 */
const STORY: readonly { readonly operation: Operation; readonly workflows: RegExp }[] = [
  { operation: arriveNew, workflows: /^(ingest:(plan|cut)|build|check|promote:(open|look|decide)):/ },
  { operation: reportBuilt, workflows: /^report:/ },
  { operation: reportEarly, workflows: /^report:(find|await-commit):\w+$/ },
  { operation: changeBase, workflows: /^build:record:/ },
  { operation: refreshBase, workflows: /^ingest:(read|plan|cut):/ },
  { operation: nameMember, workflows: /^ingest:lay-path:\w+$/ },
  { operation: sweepRegistry, workflows: /^sweep:[\w-]+:\w+$/ },
  { operation: stateYank, workflows: /^statements:\w+:done$/ },
  { operation: openPreview, workflows: /^route:/ },
  { operation: closePreview, workflows: /^(ingest|remove):/ },
  { operation: failAndReturn, workflows: /^promote:(fail|restore|verify-restored|tag-restored|restored):/ },
  { operation: failForGood, workflows: /^promote:lost:/ },
  { operation: cancelUnderway, workflows: /^promote:(verify|live):/ },
  { operation: decideBlindly, workflows: /^promote:not-seen:/ },
  { operation: arriveKnown, workflows: /^(ingest:(read|path|lay-path)|route|promote):/ },
  { operation: rollBack, workflows: /^promote:/ },
];

/** Performs each operation once, without a kill, and takes from the workflows themselves where each can be killed. */
export async function tellStory(): Promise<readonly Kill[]> {
  const stage = await embeddedStage();
  try {
    await setScene(stage);
    const kills: Kill[] = [];
    for (const { operation, workflows } of STORY) {
      const { picture, passed } = await told(stage, operation);
      const twins = twinsIn(passed);
      for (const [place, boundary] of numbered(passed).entries())
        if (workflows.test(boundary) && !twins.has(place)) kills.push({ operation, boundary, picture });
    }
    return kills;
  } finally {
    await stage.dispose();
  }
}

/** A boundary that is passed again gets the number of the time: `promote:look:done`, `promote:look:done#2`. */
function numbered(passed: readonly string[]): string[] {
  const times = new Map<string, number>();
  return passed.map((boundary) => {
    const time = (times.get(boundary) ?? 0) + 1;
    times.set(boundary, time);
    return time === 1 ? boundary : `${boundary}#${time}`;
  });
}

/**
 * The places at which a kill finds what the one before it found: a workflow that has recorded one step and has not begun
 * the next has done nothing in between.
 */
function twinsIn(passed: readonly string[]): Set<number> {
  const last = new Map<string, string>();
  const twins = new Set<number>();
  for (const [place, name] of passed.entries()) {
    const [workflow = '', , boundary = ''] = name.split(':');
    if (boundary === 'before' && last.get(workflow) === 'recorded') twins.add(place);
    last.set(workflow, boundary);
  }
  return twins;
}

/** The steps of `src/flow` that the story does not pass. */
export async function stepsForgotten(kills: readonly Kill[]): Promise<string[]> {
  const passed = new Set(kills.map(({ boundary }) => boundary.split(':')[1]));
  const folder = fileURLToPath(new URL('../../../src/flow/', import.meta.url));
  const forgotten: string[] = [];
  for (const file of (await readdir(folder)).filter((name) => /(?<!\.test)\.ts$/.test(name))) {
    const text = await readFile(`${folder}${file}`, 'utf8');
    for (const [, step] of text.matchAll(/\b(?:step|transaction)\(\s*'([\w-]+)'/g))
      if (!passed.has(step)) forgotten.push(`${file}: ${step}`);
  }
  return forgotten;
}

/** Each boundary once, in the operation that comes last in the story. */
export function eachOnce(kills: readonly Kill[]): Kill[] {
  return kills.filter(({ boundary }, place) => kills.findLastIndex((kill) => kill.boundary === boundary) === place);
}

async function told(stage: Stage, operation: Operation): Promise<{ picture: Picture; passed: string[] }> {
  await operation.prepare(stage);
  await stage.passed();
  const before = await moment(stage);
  await finished(stage, await operation.perform(stage));
  const told = { picture: await pictureSince(stage, before), passed: await stage.passed() };
  await operation.tidy(stage);
  return told;
}
