import type pg from 'pg';

/**
 * Calls `onNotify` for each NOTIFY on `channel`, and once with an empty payload whenever notifications may have been
 * missed (the connection was lost and made again): a listener treats each call as "look again", never as the news itself.
 * Resolves when the subscription is in force; gives back the way to end it.
 */
export type Listen = (channel: string, onNotify: (payload: string) => void) => Promise<() => Promise<void>>;

export interface Listener {
  readonly listen: Listen;
  close(): Promise<void>;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

/** One session connection, made when first needed and made again when lost. @param connect a new, unconnected client */
export function createListener(connect: () => pg.Client): Listener {
  const channels = new Map<string, Set<(payload: string) => void>>();
  let current: Promise<pg.Client> | undefined;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  async function open(): Promise<pg.Client> {
    const client = connect();
    client.on('error', () => lost(client));
    client.on('end', () => lost(client));
    client.on('notification', ({ channel, payload }) => tell(channel, payload ?? ''));
    await client.connect();
    for (const channel of channels.keys()) await client.query(`listen ${client.escapeIdentifier(channel)}`);
    return client;
  }

  /** One statement after the other: the connection is shared, and its client takes no second one while it has one. */
  let turn: Promise<unknown> = Promise.resolve();
  function say(client: pg.Client, verb: 'listen' | 'unlisten', channel: string): Promise<unknown> {
    const said = turn.then(() => client.query(`${verb} ${client.escapeIdentifier(channel)}`));
    turn = said.catch(() => undefined);
    return said;
  }

  function tell(channel: string, payload: string): void {
    for (const onNotify of channels.get(channel) ?? []) onNotify(payload);
  }

  const gone = new WeakSet<pg.Client>();
  function lost(client: pg.Client): void {
    if (closed || gone.has(client)) return;
    gone.add(client);
    current = undefined;
    void client.end().catch(() => undefined);
    reopen(FIRST_RETRY_MS);
  }

  function reopen(afterMs: number): void {
    if (closed || retry !== undefined) return;
    retry = setTimeout(() => {
      retry = undefined;
      if (closed || channels.size === 0) return;
      current ??= open();
      current.then(
        () => {
          for (const channel of channels.keys()) tell(channel, '');
        },
        () => {
          current = undefined;
          reopen(Math.min(afterMs * 2, LONGEST_RETRY_MS));
        },
      );
    }, afterMs);
    retry.unref();
  }

  return {
    async listen(channel, onNotify) {
      const listeners = channels.get(channel) ?? new Set();
      channels.set(channel, listeners.add(onNotify));
      current ??= open();
      try {
        await say(await current, 'listen', channel);
      } catch (error) {
        current = undefined;
        listeners.delete(onNotify);
        throw error;
      }
      return async () => {
        listeners.delete(onNotify);
        if (listeners.size > 0 || closed) return;
        channels.delete(channel);
        const client = await current?.catch(() => undefined);
        if (client !== undefined) await say(client, 'unlisten', channel).catch(() => undefined);
      };
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      channels.clear();
      const client = await current?.catch(() => undefined);
      await client?.end().catch(() => undefined);
    },
  };
}
