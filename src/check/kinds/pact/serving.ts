import type { RunResult, TaskRunner, TaskSpec } from '../../../container/runtime.ts';
import type { LogLine } from '../../../lib/log.ts';

export interface Served<Value> {
  /** What came of its use; null when it ended before it could be used. */
  readonly used: Value | null;
  /** How it ended by itself; null when it ran as long as it was wanted. */
  readonly ended: RunResult | null;
}

/**
 * Runs a server of an image for as long as it is used; it is gone afterwards, whatever happens.
 * @param use `gone` is aborted when it ends by itself
 */
export async function whileServing<Value>(
  runner: TaskRunner,
  spec: TaskSpec,
  { log, signal, timeoutMs }: { readonly log: LogLine; readonly signal: AbortSignal; readonly timeoutMs: number },
  use: (gone: AbortSignal) => Promise<Value>,
): Promise<Served<Value>> {
  const [over, gone] = [new AbortController(), new AbortController()];
  const running = runner
    .run(spec, { log, signal: AbortSignal.any([signal, over.signal]), timeoutMs })
    .finally(() => gone.abort());
  const using = use(gone.signal).finally(() => over.abort(OVER));
  const [ran, used] = await Promise.allSettled([running, using]);
  signal.throwIfAborted();
  if (ran.status === 'rejected' && ran.reason !== OVER) throw ran.reason;
  const ended = ran.status === 'fulfilled' ? ran.value : null;
  if (used.status === 'fulfilled') return { used: used.value, ended };
  if (ended !== null) return { used: null, ended };
  throw used.reason;
}

const OVER = new Error('The server is not used any more.');
