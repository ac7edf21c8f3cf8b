import { onTestFinished } from 'vitest';

import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import type { Template } from '../../store/testing.ts';
import { createEngine } from './engine.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { migrateEverything } from './migrate.ts';

/** The engine's own first migration takes a second or two: it is made once and copied. */
export const ENGINE: Template = { name: 'engine', prepare: (url) => migrateEverything(url) };

/** A fresh database with our schema and the engine's. */
export function testEngineStore(server?: string): Promise<Store> {
  return testStore({ template: ENGINE, ...(server === undefined ? {} : { server }) });
}

/** An engine that takes no more work when the test ends. One worker per process: start one at a time. */
export async function testEngine(store: Store, options: Omit<EngineOptions, 'store'> = {}): Promise<Engine> {
  const engine = await createEngine({ store, ...options });
  onTestFinished(() => engine.stop({ drainMs: 1_000 }));
  return engine;
}
