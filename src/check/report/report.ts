import { setImmediate as others } from 'node:timers/promises';

/** A report above this is not read: no run that people look at writes one. */
export const REPORT_LIMIT_BYTES = 32 * 1024 * 1024;

/** What a report says, or a phrase that says what is wrong with it; `wrong` follows "the report". */
export type Reading<Report> = Report | { readonly wrong: string };

/** Thrown by what reads a report, and caught by `readingOf`. */
export class ReportFault extends Error {}

/** @returns what `read` found, or what was wrong; whatever else it throws goes through */
export async function readingOf<Report>(
  text: string,
  read: (text: string) => Promise<Report>,
): Promise<Reading<Report>> {
  if (text.length > REPORT_LIMIT_BYTES) return { wrong: 'is too big' };
  try {
    return await read(text);
  } catch (error) {
    if (error instanceof ReportFault) return { wrong: error.message };
    throw error;
  }
}

const SLICE = 64 * 1024;

/** The text in parts; the process does what else it has to do between them. */
export async function* slicesOf(text: string): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += SLICE) {
    yield text.slice(at, at + SLICE);
    await others();
  }
}

/** A text for people that is never cut in the middle of a character. */
export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length - 3).replace(/[\uD800-\uDBFF]$/, '')}...`;
}

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Of those that passed: only when they were tried again, by the tool itself. */
  readonly flaky?: number | undefined;
  /** The first of them. */
  readonly failures: readonly { readonly name: string; readonly message: string }[];
}

/** Lines of source, of those that can run. */
export interface LineCounts {
  readonly covered: number;
  readonly total: number;
}

/** File, as the report calls it, -> line -> how often it ran. */
export type Coverage = ReadonlyMap<string, ReadonlyMap<number, number>>;
