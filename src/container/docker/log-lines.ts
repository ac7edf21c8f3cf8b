import { StringDecoder } from 'node:string_decoder';

import type { LogLine } from '../../lib/log.ts';

/** A line longer than this is cut into several: a program that never ends its line shall not fill the memory. */
const LONGEST_LINE = 16_384;

/** Takes bytes as they come and gives whole lines, without newline and carriage return. */
export interface LineSplitter {
  write(bytes: Uint8Array): void;
  /** Gives what was left without a newline. */
  end(): void;
}

export function splitLines(log: LogLine): LineSplitter {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const give = (line: string): void => log(line.endsWith('\r') ? line.slice(0, -1) : line);
  const take = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(give);
    for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE)) give(rest.slice(0, LONGEST_LINE));
  };
  return {
    write: (bytes) => take(decoder.write(Buffer.from(bytes))),
    end: () => {
      take(decoder.end());
      if (rest !== '') give(rest);
      rest = '';
    },
  };
}

/**
 * Reads the engine's multiplexed stream of a container without a terminal: frames of one byte for the stream (1 output,
 * 2 errors), three zeros, four bytes of length (big endian), then the bytes. Lines of the two never mix.
 */
export function demultiplex(log: LogLine): LineSplitter {
  const streams = [splitLines(log), splitLines(log), splitLines(log)] as const;
  let pending: Buffer = Buffer.alloc(0);
  return {
    write: (bytes) => {
      pending = pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([pending, bytes]);
      while (pending.length >= 8) {
        const length = pending.readUInt32BE(4);
        if (pending.length < 8 + length) return;
        streams[pending[0] === 2 ? 2 : 1].write(pending.subarray(8, 8 + length));
        pending = pending.subarray(8 + length);
      }
    },
    end: () => streams.forEach((stream) => stream.end()),
  };
}
