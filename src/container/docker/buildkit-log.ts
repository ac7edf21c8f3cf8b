import type { LogLine } from '../../lib/log.ts';
import { splitLines, type LineSplitter } from './log-lines.ts';

/**
 * Turns BuildKit's progress messages into lines: each step once when it begins (`#3 [2/4] RUN npm ci`), its output, and
 * its error. A message is a protobuf `StatusResponse`; only the fields that people read are looked at.
 * @see moby/buildkit, `api/services/control/control.proto`
 */
export interface BuildKitReader {
  read(message: Uint8Array): void;
  end(): void;
}

interface Step {
  readonly number: number;
  readonly output: LineSplitter;
  told: 'nothing' | 'begun' | 'ended';
}

export function createBuildKitReader(log: LogLine): BuildKitReader {
  const steps = new Map<string, Step>();
  const stepOf = (digest: string): Step => {
    const known = steps.get(digest);
    if (known !== undefined) return known;
    const number = steps.size + 1;
    const step: Step = { number, output: splitLines((line) => log(`#${number} ${line}`)), told: 'nothing' };
    steps.set(digest, step);
    return step;
  };

  const readVertex = (bytes: Buffer): void => {
    const fields = fieldsOf(bytes);
    const text = (number: number): string =>
      fields.find((field) => field.number === number)?.bytes.toString('utf8') ?? '';
    const has = (number: number): boolean => fields.some((field) => field.number === number);
    if (!has(VERTEX.started)) return; // planned only: it gets its number when it begins
    const step = stepOf(text(VERTEX.digest));
    if (step.told === 'nothing') {
      log(`#${step.number} ${text(VERTEX.name)}${has(VERTEX.cached) ? ' (cached)' : ''}`);
      step.told = 'begun';
    }
    if (has(VERTEX.completed) && step.told === 'begun') {
      step.told = 'ended';
      if (has(VERTEX.error)) log(`#${step.number} failed: ${text(VERTEX.error)}`);
    }
  };
  const readOutput = (bytes: Buffer): void => {
    const fields = fieldsOf(bytes);
    const digest = fields.find(({ number }) => number === OUTPUT.vertex)?.bytes.toString('utf8') ?? '';
    for (const { number, bytes: text } of fields) if (number === OUTPUT.text) stepOf(digest).output.write(text);
  };

  return {
    read(message) {
      for (const { number, bytes } of fieldsOf(Buffer.from(message))) {
        if (number === STATUS.vertexes) readVertex(bytes);
        if (number === STATUS.logs) readOutput(bytes);
      }
    },
    end: () => steps.forEach(({ output }) => output.end()),
  };
}

const STATUS = { vertexes: 1, logs: 3 };
const VERTEX = { digest: 1, name: 3, cached: 4, started: 5, completed: 6, error: 7 };
const OUTPUT = { vertex: 1, text: 4 };

/** The fields of a protobuf message, by wire format: numbers become empty bytes, for only their presence matters here. */
function fieldsOf(bytes: Buffer): { readonly number: number; readonly bytes: Buffer }[] {
  const fields: { number: number; bytes: Buffer }[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const start = at;
    switch (tag % 8) {
      case 0:
        varint();
        fields.push({ number, bytes: Buffer.alloc(0) });
        break;
      case 1:
        at = start + 8;
        break;
      case 2: {
        const length = varint();
        fields.push({ number, bytes: bytes.subarray(at, at + length) });
        at += length;
        break;
      }
      case 5:
        at = start + 4;
        break;
      default:
        return fields; // no wire type that is in use: what follows cannot be read
    }
  }
  return fields;
}
