import { Agent } from 'node:http';

import type { Upstream } from './routes.ts';

/** Servers of Node close idle connections after 5 s: ours are given up before, lest a request meets a closing one. */
const IDLE_MS = 4000;

/** The connections to each upstream and how many requests it is busy with: what draining waits for. */
export class Upstreams {
  private readonly known = new Map<string, Entry>();
  private turn = 0;

  /**
   * Takes the least busy of `candidates`; call `release` exactly once when its answer has ended.
   * @param failed those that this request got nothing from: one that is gone is never busy, so it would be the choice again
   */
  acquire(
    candidates: readonly Upstream[],
    failed: readonly Upstream[] = [],
  ): { upstream: Upstream; agent: Agent; release: () => void } | null {
    const tried = new Set(failed.map((upstream) => keyOf(upstream)));
    const fresh = candidates.filter((candidate) => !tried.has(keyOf(candidate)));
    const choice = fresh.length > 0 ? fresh : candidates;
    let best: Upstream | undefined;
    this.turn = (this.turn + 1) % Math.max(1, choice.length);
    for (const candidate of [...choice.slice(this.turn), ...choice.slice(0, this.turn)]) {
      if (best === undefined || this.busy(candidate) < this.busy(best)) best = candidate;
    }
    if (best === undefined) return null;
    const key = keyOf(best);
    const entry = this.entry(key);
    entry.busy += 1;
    let released = false;
    return {
      upstream: best,
      agent: entry.agent,
      release: () => {
        if (released) return;
        released = true;
        entry.busy -= 1;
        if (entry.busy > 0) return;
        for (const wake of entry.waiting) wake();
        if (entry.retired) this.drop(key, entry);
      },
    };
  }

  busy(upstream: Upstream): number {
    return this.known.get(keyOf(upstream))?.busy ?? 0;
  }

  /** Resolves when nothing is under way any more, or when the time is over. @returns what still is under way */
  async drained(upstream: Upstream, timeoutMs: number): Promise<number> {
    const entry = this.known.get(keyOf(upstream));
    if (entry === undefined || entry.busy === 0) return 0;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        entry.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      entry.waiting.add(done);
    });
    return entry.busy;
  }

  /** Forgets upstreams that no route names any more; those that still answer something stay until they have. */
  retain(wanted: readonly Upstream[]): void {
    const keep = new Set(wanted.map((upstream) => keyOf(upstream)));
    for (const [key, entry] of this.known) {
      entry.retired = !keep.has(key);
      if (entry.retired && entry.busy === 0) this.drop(key, entry);
    }
  }

  close(): void {
    for (const { agent } of this.known.values()) agent.destroy();
    this.known.clear();
  }

  private drop(key: string, entry: Entry): void {
    entry.agent.destroy();
    this.known.delete(key);
  }

  private entry(key: string): Entry {
    const entry = this.known.get(key) ?? {
      agent: new Agent({ keepAlive: true, maxFreeSockets: 256, timeout: IDLE_MS, scheduling: 'lifo' }),
      busy: 0,
      retired: false,
      waiting: new Set(),
    };
    this.known.set(key, entry);
    return entry;
  }
}

interface Entry {
  readonly agent: Agent;
  busy: number;
  /** True when no route names it any more; it goes with its last answer. */
  retired: boolean;
  readonly waiting: Set<() => void>;
}

function keyOf({ host, port }: Upstream): string {
  return `${host} ${port}`;
}
