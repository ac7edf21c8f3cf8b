import type { DesiredService } from '../driver.ts';
import type { Probe } from './config.ts';

/** As the Engine API takes it: durations in nanoseconds. */
export interface HealthCheck {
  readonly Test: string[];
  readonly Interval: number;
  readonly Timeout: number;
  readonly StartPeriod: number;
  readonly Retries: number;
}

const NANO = 1_000_000;
const RETRIES = 3;
/** For a service that has a port and no health path. */
export const PLAIN_HEALTH = { path: null, intervalMs: 1000, timeoutMs: 2000, startMs: 30_000 };

/**
 * The check that Swarm makes inside each container: a task is running once it answered well, and only then does Swarm end the
 * one before it. A service without a port has none: it is well while it runs. With `image` it is that of the image.
 */
export function healthCheck(service: Pick<DesiredService, 'health' | 'port'>, probe: Probe): HealthCheck | undefined {
  const { port } = service;
  if (probe === 'image' || port === undefined) return undefined;
  const { path, intervalMs, timeoutMs, startMs } = service.health ?? PLAIN_HEALTH;
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  return {
    Test:
      probe === 'node'
        ? ['CMD', 'node', '-e', byNode(port, path, timeoutMs)]
        : ['CMD', 'sh', '-c', path === null ? byListener(port) : byShell(port, path, seconds, timeoutMs)],
    Interval: intervalMs * NANO,
    Timeout: (timeoutMs + 1000) * NANO,
    StartPeriod: startMs * NANO,
    Retries: RETRIES,
  };
}

/** For how long, from its start, a task may be without a good answer until Swarm gives it up. */
export function patienceMs(service: Pick<DesiredService, 'health' | 'port'>): number {
  const { intervalMs, timeoutMs, startMs } = service.health ?? PLAIN_HEALTH;
  return startMs + RETRIES * (intervalMs + timeoutMs + 1000);
}

/**
 * The first that gets a good answer decides: a `wget` that is there may be broken (static ones die when they look up even a number).
 */
function byShell(port: number, path: string, seconds: number, timeoutMs: number): string {
  const url = quoted(`http://127.0.0.1:${port}${path}`);
  return [
    `wget -q -T ${seconds} -O /dev/null ${url}`,
    `curl -fsS -m ${seconds} -o /dev/null ${url}`,
    `node -e ${quoted(byNode(port, path, timeoutMs))}`,
  ].join(' || ');
}

/** Whether something listens, by the tables of the kernel: so nothing but `sh` and `grep` is needed. */
function byListener(port: number): string {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return `cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':${hex} 0*:0000 0A'`;
}

function byNode(port: number, path: string | null, timeoutMs: number): string {
  const end = 'process.exit(1)';
  if (path === null) {
    return `require('net').connect({host:'127.0.0.1',port:${port}},()=>process.exit(0)).on('error',()=>${end});setTimeout(()=>${end},${timeoutMs})`;
  }
  const options = JSON.stringify({ host: '127.0.0.1', port, path });
  return `require('http').get(${options},(r)=>process.exit(r.statusCode<400?0:1)).on('error',()=>${end});setTimeout(()=>${end},${timeoutMs})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
