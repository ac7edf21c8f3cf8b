/** One measured figure, with the goal that it has to reach. */
export interface Figure {
  /** Dotted, such as `retag.200mb.p50`. */
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly goal?: { readonly op: '<=' | '>='; readonly value: number };
}

/** A way of doing the work that is measured. */
export interface Contender {
  readonly name: string;
  /** Runs before each measured run, outside the measured time. */
  readonly prepare?: () => Promise<void>;
  readonly run: () => Promise<unknown>;
}

/**
 * Runs the contenders in turn, round by round, so that the load of the machine falls on all alike. A first round warms
 * up and is not counted.
 * @returns for each contender the milliseconds of its runs
 */
export async function alternate<Name extends string>(
  rounds: number,
  contenders: readonly (Contender & { readonly name: Name })[],
): Promise<Record<Name, number[]>> {
  const times = Object.fromEntries(contenders.map(({ name }) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round <= rounds; round++) {
    // Each round begins with another contender: none always runs in the wake of the same neighbour.
    const order = contenders
      .map((_, i) => contenders[(i + round) % contenders.length])
      .filter((one) => one !== undefined);
    for (const { name, prepare, run } of order) {
      await prepare?.();
      const start = performance.now();
      await run();
      if (round > 0) times[name].push(performance.now() - start);
    }
  }
  return times;
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** @param p from 0 to 100; between two values it takes their weighted mean */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = ((sorted.length - 1) * p) / 100;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export function isReached({ value, goal }: Figure): boolean {
  if (goal === undefined) return true;
  return goal.op === '<=' ? value <= goal.value : value >= goal.value;
}

/** `figure NAME VALUE UNIT goal OP VALUE`, for programs. */
export function lineOf(figure: Figure): string {
  const { name, value, unit, goal } = figure;
  return `figure ${name} ${round(value)} ${unit}${goal === undefined ? '' : ` goal ${goal.op} ${goal.value}`}`;
}

/** For people. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${round(figure.value)} ${figure.unit}`,
    figure.goal === undefined ? '' : `${figure.goal.op} ${figure.goal.value} ${figure.unit}`,
    figure.goal === undefined ? '' : isReached(figure) ? 'reached' : 'MISSED',
  ]);
  const all = [['figure', 'measured', 'goal', ''], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
