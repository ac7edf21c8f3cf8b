/** Headers that speak of one connection and are never passed on (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Set by the proxy alone: what a client claims about itself is not passed on. `expect` was answered by us already. */
const FORWARDED = new Set([
  'expect',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'forwarded',
]);

/** The headers of a message for the next hop, in order and with their case: `[name, value, name, value, ...]`. */
export function passedHeaders(raw: readonly string[], more: ReadonlySet<string> = new Set()): string[] {
  const named = new Set(
    pairs(raw)
      .filter(([name]) => name.toLowerCase() === 'connection')
      .flatMap(([, value]) => value.split(',').map((token) => token.trim().toLowerCase())),
  );
  return pairs(raw)
    .filter(([name]) => {
      const lower = name.toLowerCase();
      return !HOP_BY_HOP.has(lower) && !named.has(lower) && !more.has(lower);
    })
    .flat();
}

/** The headers of a request, with what the upstream is to know of where it came from. */
export function requestHeaders(
  raw: readonly string[],
  from: {
    readonly address: string;
    readonly host: string | undefined;
    readonly port: number;
    readonly chunked: boolean;
  },
): string[] {
  return [
    ...passedHeaders(raw, FORWARDED),
    ...(from.chunked ? ['Transfer-Encoding', 'chunked'] : []),
    'X-Forwarded-For',
    from.address,
    'X-Forwarded-Proto',
    'http',
    'X-Forwarded-Port',
    String(from.port),
    ...(from.host === undefined ? [] : ['X-Forwarded-Host', from.host]),
  ];
}

/** The headers of an upgrade, whose point is the connection: they pass as they are, but for what we set ourselves. */
export function upgradeHeaders(
  raw: readonly string[],
  from: { readonly address: string; readonly host: string | undefined; readonly port: number },
): string[] {
  const kept = pairs(raw).filter(([name]) => !FORWARDED.has(name.toLowerCase()));
  return [...kept.flat(), ...requestHeaders([], { ...from, chunked: false })];
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2] ?? '', raw[index * 2 + 1] ?? '']);
}
