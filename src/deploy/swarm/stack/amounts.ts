import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
const ONE = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/;

/** Nanoseconds, as Docker Compose writes durations: `1m30s`. */
export const Nanos = z
  .string()
  .regex(WHOLE)
  .transform((text) =>
    Math.round(
      [...text.matchAll(ONE)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? 0), 0),
    ),
  );

/** Bytes, as it writes them: a number, mostly as a text. */
export const Bytes = z.union([z.string().regex(/^\d{1,15}$/), z.number().int().min(0)]).transform(Number);

/** Processors, whole or in part. */
export const Cpus = z.union([z.string().regex(/^\d{1,6}(\.\d{1,9})?$/), z.number().min(0)]).transform(Number);
