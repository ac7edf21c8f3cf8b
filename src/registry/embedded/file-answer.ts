import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';

/**
 * Answers with a file's bytes from `start` to `end`, both counted, and closes it. Two buffers take turns, one is filled
 * while the other is sent: a stream makes a new buffer for each piece, and to be rid of them the collector looks at the
 * whole heap of the server (decision 0023).
 *
 * @throws when the file is shorter than that, or the reader left
 */
export async function answerWithFile(
  response: ServerResponse,
  file: FileHandle,
  { start, end }: { start: number; end: number },
): Promise<void> {
  let sending = Promise.resolve();
  try {
    let [free, busy] = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)];
    for (let at = start; at <= end;) {
      const { bytesRead } = await file.read(free, 0, Math.min(PIECE, end + 1 - at), at);
      if (bytesRead === 0)
        throw new Error(`A file of the registry ends at ${at} bytes, before the ${end + 1} promised.`);
      await sending;
      sending = sent(response, free.subarray(0, bytesRead));
      sending.catch(() => {}); // it is awaited after the next read
      [free, busy] = [busy, free];
      at += bytesRead;
    }
    await sending;
    response.end();
  } finally {
    await file.close();
  }
}

const PIECE = 256 * 1024;

/** Until the system has the bytes, and the buffer may be filled anew. */
async function sent(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  const { socket } = response.req;
  return new Promise((resolve, reject) => {
    const left = () => reject(new Error('The reader left before the end.'));
    if (socket.destroyed) return left();
    socket.once('close', left); // an answer that still waits for its turn on the connection is told of nothing else
    response.write(bytes, (error) => {
      socket.off('close', left);
      if (error) reject(error);
      else resolve();
    });
  });
}
