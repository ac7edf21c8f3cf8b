import { setScene } from './scene.ts';
import type { Stage } from './stage.ts';

/** Stages that are used again and again, several side by side. */
export interface Pool {
  /** Waits for a free stage. One on which the work failed is not used again: it may hold what the failure left. */
  withStage<T>(work: (stage: Stage) => Promise<T>): Promise<T>;
  dispose(): Promise<void>;
}

export function createPool(open: () => Promise<Stage>, size: number): Pool {
  const free: Stage[] = [];
  const waiting: (() => void)[] = [];
  let places = size;
  const take = async (): Promise<Stage> => {
    if (places === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else places -= 1;
    return free.pop() ?? openWithScene(open);
  };
  /** The place goes to who waits longest. */
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) places += 1;
    else next();
  };
  return {
    async withStage(work) {
      try {
        const stage = await take();
        try {
          const result = await work(stage);
          free.push(stage);
          return result;
        } catch (error) {
          await stage.dispose();
          throw error;
        }
      } finally {
        leave();
      }
    },
    async dispose() {
      await Promise.all(free.splice(0).map((stage) => stage.dispose()));
    },
  };
}

async function openWithScene(open: () => Promise<Stage>): Promise<Stage> {
  const stage = await open();
  try {
    await setScene(stage);
    return stage;
  } catch (error) {
    await stage.dispose();
    throw error;
  }
}
