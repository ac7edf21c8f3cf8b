import { addTo, linesOf } from './lcov.ts';
import { type Coverage, type Reading, readingOf, ReportFault } from './report.ts';
import { readXml } from './xml.ts';

/**
 * Reads a Cobertura report (coverage-04.dtd), as istanbul, coverage.py, coverlet and gcovr write it. Lines of methods
 * are told again among those of their class.
 */
export function parseCobertura(text: string): Promise<Reading<Coverage>> {
  return readingOf(text, async () => {
    const files = new Map<string, Map<number, number>>();
    let isCobertura = false;
    let lines: Map<number, number> | null = null;
    await readXml(text, {
      open(name, attributes, above) {
        if (name === 'coverage' && above.length === 0) isCobertura = true;
        else if (name === 'class') lines = linesOf(files, attributes['filename'] ?? '');
        else if (name === 'line' && above.at(-2) === 'class' && lines !== null) {
          const [line, hits] = [numberOf(attributes['number']), numberOf(attributes['hits'])];
          if (line === null || hits === null)
            throw new ReportFault('has a line without its number, or that does not say how often it ran');
          addTo(lines, line, hits);
        }
      },
    });
    if (!isCobertura) throw new ReportFault('is not Cobertura');
    if (files.size === 0) throw new ReportFault('names no file');
    return files;
  });
}

function numberOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,18}$/.test(text) ? Number(text) : null;
}
