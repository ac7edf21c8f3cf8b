/** The whole of a body. @returns null when there is more than the limit; it is given up then */
export async function readUpTo(
  body: AsyncIterable<unknown> & { destroy(): unknown },
  limitBytes: number,
): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > limitBytes) {
      body.destroy();
      return null;
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
