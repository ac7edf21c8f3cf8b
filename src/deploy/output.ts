import { hasCode, problemOf } from '../lib/error.ts';
import { redact, redactor } from '../secret/redact.ts';
import type { OutputPart, OutputQuestion, Target } from './driver.ts';
import type { Instance, OutputBlock, Runtime } from './rollout.ts';

/** How often it is looked who is there: a new replica is told of within this time. */
const LOOK_MS = 1000;
/** A longer line is cut: it is for people to read. */
const LONGEST_LINE = 16_384;

type Reading = Pick<Runtime, 'list' | 'output'>;

/** What the instances of a service print, those that come and go meanwhile included. Reads no faster than it is asked. */
export async function* outputOf(
  runtime: Reading,
  target: Target,
  question: OutputQuestion,
): AsyncGenerator<OutputPart, void> {
  const places = new Map(question.after);
  const instances = await instancesOf(runtime, target, question.service);
  if (question.follow) yield* followed(runtime, target, question, instances);
  else for (const instance of instances) yield* partsOf(runtime, target, question, instance, places);
}

/** One part of each replica is read ahead and no more, so that none waits for another and none fills the memory. */
async function* followed(
  runtime: Reading,
  target: Target,
  question: OutputQuestion,
  first: readonly Instance[],
): AsyncGenerator<OutputPart, void> {
  const places = new Map(question.after);
  const told = new Set<string>();
  const stop = new AbortController();
  const signal = AbortSignal.any([question.signal, stop.signal]);
  const { listen, next, ended } = gathering<OutputPart>(signal);
  try {
    const open = new Set<string>();
    let tail = question.after.size === 0 ? question.tail : Infinity;
    for (let instances = first; !signal.aborted; instances = await instancesOf(runtime, target, question.service)) {
      for (const instance of instances) {
        if (open.has(instance.id)) continue;
        open.add(instance.id);
        listen(instance.id, partsOf(runtime, target, { ...question, tail, signal }, instance, places));
      }
      if (open.size === 0) return;
      tail = Infinity; // whatever comes later is told from its beginning
      const lookAt = performance.now() + LOOK_MS;
      for (let heard = await next(lookAt); heard !== null; heard = await next(lookAt)) {
        if (heard.item === null) {
          open.delete(heard.id); // if it is still there at the next look, it is opened again
          continue;
        }
        const { note, lines } = heard.item;
        if (note !== null && lines.length === 0 && told.has(`${heard.id} ${note}`)) continue;
        told.add(`${heard.id} ${note ?? ''}`);
        yield heard.item;
      }
    }
  } finally {
    stop.abort();
    await ended();
  }
}

/** Hears several sources at once; each is asked for its next item when the one before was taken. */
function gathering<Item>(signal: AbortSignal) {
  const ready: { readonly id: string; readonly item: Item | null; readonly more: () => void }[] = [];
  const failures: unknown[] = [];
  const running = new Set<Promise<void>>();
  let wake = (): void => undefined;
  signal.addEventListener('abort', () => wake(), { once: true });
  const listen = (id: string, items: AsyncGenerator<Item, void>): void => {
    const more = (): void => {
      const asked = items
        .next()
        .then(
          (result) => void ready.push({ id, item: result.done === true ? null : result.value, more }),
          (error: unknown) => void failures.push(error),
        )
        .finally(() => {
          running.delete(asked);
          wake();
        });
      running.add(asked);
    };
    more();
  };
  /** @returns null when the time is over first; the item is null where a source has ended */
  const next = async (untilMs: number): Promise<{ readonly id: string; readonly item: Item | null } | null> => {
    for (;;) {
      if (failures.length > 0 && !signal.aborted) throw failures[0];
      const heard = ready.shift();
      if (heard !== undefined) {
        if (heard.item !== null) heard.more();
        return heard;
      }
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0 || signal.aborted) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  return { listen, next, ended: () => Promise.allSettled(running) };
}

async function* partsOf(
  runtime: Reading,
  target: Target,
  { tail, follow, signal }: OutputQuestion,
  { id, operation }: Instance,
  places: Map<string, string>,
): AsyncGenerator<OutputPart, void> {
  const replica = nameOf(id);
  const place = places.get(replica) ?? (tail === Infinity ? '' : undefined);
  const from = place === undefined ? { last: tail } : { after: place };
  try {
    for await (const block of runtime.output(target, id, { from, follow, signal })) {
      places.set(replica, block.place);
      const note = block.hasGap === true ? 'lines before these are not kept any more' : null;
      yield { replica, operation, lines: shown(block), note, place: block.place };
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!hasCode(error)) throw error;
    const { what, fix } = problemOf(error); // one that cannot be read keeps nobody from the others
    yield { replica, operation, lines: [], note: `${what} ${fix}`, place: places.get(replica) ?? '' };
  }
}

async function instancesOf(runtime: Reading, target: Target, service: string): Promise<Instance[]> {
  const all = (await runtime.list(target)).filter((instance) => instance.service === service);
  return all.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1));
}

/** Secrets are blackened before anything is cut, so that no half of one is left. */
function shown({ lines, secrets, isCut }: OutputBlock): string[] {
  const text = lines.join('\n');
  const safe = isCut === true ? redactor(secrets).push(text) : redact(text, secrets);
  return safe
    .split('\n')
    .map((line) => (line.length > LONGEST_LINE || isCut === true ? `${line.slice(0, LONGEST_LINE)} ... (cut)` : line));
}

/** The end of an instance's id: the operation's and its number. */
function nameOf(id: string): string {
  return id.split('-').slice(-2).join('-');
}
