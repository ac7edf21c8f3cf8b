import { measured, type Measures, perCent } from './measures.ts';
import { type Reading, readingOf, ReportFault } from './report.ts';

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const TIME = String.raw`(\d+(?:\.\d+)?)(us|ms|s|m|h)`;
const LATENCY = new RegExp(String.raw`^\s*Latency\s+${TIME}\s+${TIME}\s+${TIME}\s`, 'm');
const PERCENTILE = new RegExp(String.raw`^\s+(50|75|90|99)%\s+${TIME}$`, 'gm');
const LONGEST = 100_000;

/** Reads what wrk prints; percentiles are in it with `--latency`. */
export function parseWrk(text: string): Promise<Reading<Measures>> {
  return readingOf(text, async () => {
    if (text.length > LONGEST) throw new ReportFault('is too long for what wrk prints');
    const latency = LATENCY.exec(text);
    const requests = numberIn(text, /^\s*(\d+) requests in /m);
    const rps = numberIn(text, /^Requests\/sec:\s+(\d+(?:\.\d+)?)$/m);
    if (latency === null || requests === null || rps === null) throw new ReportFault('is not what wrk prints');
    const [, mean = '', meanUnit = '', , , max = '', maxUnit = ''] = latency;
    const percentiles = [...text.matchAll(PERCENTILE)].map(([, which, amount = '', unit = '']) => [
      `p${which}`,
      milliseconds(amount, unit),
    ]);
    const sockets = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$/m.exec(text) ?? [];
    const broken = sockets.slice(1).reduce((sum, count) => sum + Number(count), 0);
    const refused = numberIn(text, /^\s*Non-2xx or 3xx responses: (\d+)$/m) ?? 0;
    return measured({
      mean: milliseconds(mean, meanUnit),
      ...Object.fromEntries(percentiles),
      max: milliseconds(max, maxUnit),
      rps,
      errors: perCent(refused + broken, requests + broken),
      requests,
    });
  });
}

function milliseconds(amount: string, unit: string): number {
  return Number(amount) * (UNITS[unit] ?? Number.NaN);
}

function numberIn(text: string, pattern: RegExp): number | null {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}
