import { type Coverage, type Reading, readingOf, ReportFault, slicesOf } from './report.ts';

/** Reads an LCOV trace file (geninfo(1), "FILES"); of its records only the lines are of use. */
export function parseLcov(text: string): Promise<Reading<Coverage>> {
  return readingOf(text, async () => {
    const files = new Map<string, Map<number, number>>();
    let lines: Map<number, number> | null = null;
    const read = (record: string): void => {
      if (record.startsWith('SF:')) lines = linesOf(files, record.slice(3));
      else if (record === 'end_of_record') lines = null;
      else if (record.startsWith('DA:')) {
        const [, line, hits] = /^DA:([1-9]\d{0,8}),(\d{1,18}(?:\.\d+)?(?:e[+]?\d{1,3})?)(?:,|$)/.exec(record) ?? [];
        if (lines === null || line === undefined) throw new ReportFault('has a line that is no LCOV');
        addTo(lines, Number(line), Number(hits));
      } else if (record !== '' && !/^(?:#|[A-Z]{2,12}:)/.test(record)) throw new ReportFault('is not LCOV');
    };
    let rest = '';
    for await (const slice of slicesOf(text)) {
      const records = `${rest}${slice}`.split('\n');
      rest = records.pop() ?? '';
      for (const record of records) read(record.trimEnd());
    }
    read(rest.trimEnd());
    if (lines !== null) throw new ReportFault('ends in the middle');
    if (files.size === 0) throw new ReportFault('names no file');
    return files;
  });
}

/** A file may come more than once, by several tests: how often its lines ran adds up. */
export function linesOf(files: Map<string, Map<number, number>>, file: string): Map<number, number> {
  const lines = files.get(file) ?? new Map<number, number>();
  files.set(file, lines);
  return lines;
}

export function addTo(lines: Map<number, number>, line: number, hits: number): void {
  lines.set(line, (lines.get(line) ?? 0) + hits);
}
