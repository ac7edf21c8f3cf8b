/** Lines that wait to be written. */
export interface Backlog {
  /** How many are to be written, gaps included. */
  readonly length: number;
  /** Never refuses: above the limits lines are counted and left out, and said where they would have stood. */
  push(line: string): void;
  /** The oldest; they stay until they are dropped. */
  first(count: number): string[];
  drop(count: number): void;
}

/** The last lines of many, and how many came before them. */
export interface Tail {
  push(line: string): void;
  take(): string[];
}

export function createBacklog(limits: { readonly lines: number; readonly bytes: number }): Backlog {
  let entries: (string | { missing: number })[] = [];
  let bytes = 0;
  /** The gap at the end, while nobody has read how long it is. */
  let gap: { missing: number } | null = null;
  return {
    get length() {
      return entries.length;
    },
    push(line) {
      const size = sizeOf([line]);
      if (entries.length < limits.lines && bytes + size <= limits.bytes) {
        entries.push(line);
        bytes += size;
        gap = null;
        return;
      }
      if (gap === null) entries.push((gap = { missing: 0 }));
      gap.missing += 1;
    },
    first(count) {
      const found = entries.slice(0, count);
      if (found.length === entries.length) gap = null;
      return found.map((entry) => (typeof entry === 'string' ? entry : leftOut(entry.missing)));
    },
    drop(count) {
      for (const entry of entries.slice(0, count)) if (typeof entry === 'string') bytes -= sizeOf([entry]);
      entries = entries.slice(count);
    },
  };
}

export function createTail(limits: { readonly lines: number; readonly bytes: number }): Tail {
  let lines: string[] = [];
  let bytes = 0;
  let dropped = 0;
  return {
    push(line) {
      lines.push(line);
      bytes += sizeOf([line]);
      for (
        let first = lines[0];
        first !== undefined && (lines.length > limits.lines || bytes > limits.bytes);
        first = lines[0]
      ) {
        lines.shift();
        bytes -= sizeOf([first]);
        dropped += 1;
      }
    },
    take() {
      const taken = dropped === 0 ? lines : [`... ${dropped} lines were left out: the log is full ...`, ...lines];
      [lines, bytes, dropped] = [[], 0, 0];
      return taken;
    },
  };
}

export function sizeOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
}

function leftOut(count: number): string {
  return `... ${count} lines were left out: the database was away, full or too slow for them ...`;
}
