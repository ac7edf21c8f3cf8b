import {
  arriveKnown,
  arriveNew,
  closePreview,
  failAndReturn,
  finished,
  openPreview,
  type Operation,
  rollBack,
  setScene,
} from './operations.ts';
import { moment, type Picture, pictureSince } from './picture.ts';
import { embeddedStage, type Stage } from './stage.ts';

/** One operation to be killed at one boundary, and what it has to leave behind. */
export interface Kill {
  readonly operation: Operation;
  readonly boundary: string;
  readonly picture: Picture;
}

/**
 * The operations, cheapest last; each is killed in the workflows named here. What a push has in common with a new branch
 * is killed once; a rollback takes the whole of `promote` again.
 */
const STORY: readonly { readonly operation: Operation; readonly workflows: RegExp }[] = [
  { operation: arriveNew, workflows: /^(ingest|build|check|route):/ },
  { operation: arriveKnown, workflows: /^promote:/ },
  { operation: failAndReturn, workflows: /^promote:(fail|restore|verify-restored|tag-restored|restored|lost):/ },
  { operation: openPreview, workflows: /^route:/ },
  { operation: closePreview, workflows: /^(ingest:leave|remove):/ },
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
      for (const boundary of new Set(passed))
        if (workflows.test(boundary)) kills.push({ operation, boundary, picture });
    }
    return kills;
  } finally {
    await stage.dispose();
  }
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
