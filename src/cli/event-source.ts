/** One server-sent event as it came over the wire. */
export interface ReceivedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

/**
 * Reads an event stream. Comments (heartbeats) and fields we do not use are skipped; an `end` event ends it.
 * @see HTML living standard, 9.2.6
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncIterable<ReceivedEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = eventIn(block);
      if (event?.event === 'end') return;
      if (event !== null) yield event;
    }
  }
}

function eventIn(block: string): ReceivedEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) fields.set(name, value);
  }
  const data = fields.get('data');
  if (data === undefined) return null;
  return { id: fields.get('id') ?? '', event: fields.get('event') ?? 'message', data: JSON.parse(data) as unknown };
}
