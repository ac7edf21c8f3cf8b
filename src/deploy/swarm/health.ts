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
/** Swarm ends a task that answers badly so often in a row: one that is merely slow for a moment has to live. */
const RETRIES = 5;
/** What the engine may need, on a busy node, until what asks has started in the container and ended; it keeps its own time for the answer. */
const ASKING_MS = 15_000;
/**
 * To ask once costs a quarter of a second of a processor (measured: the engine enters the container, and a program starts there), and
 * Engine 20.10 knows one interval only. So from half a minute after the start on, what asks waits for some seconds first.
 */
const RARELY = { afterMs: 30_000, waitS: 5 };
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
  const young = Math.ceil((startMs + RARELY.afterMs) / 1000);
  return {
    Test:
      probe === 'node'
        ? ['CMD', 'node', '-e', rarelyByNode(young, byNode(port, path, timeoutMs))]
        : [
            'CMD',
            'sh',
            '-c',
            rarely(young, path === null ? byListener(port) : byShell(port, path, seconds, timeoutMs)),
          ],
    Interval: intervalMs * NANO,
    Timeout: (timeoutMs + ASKING_MS) * NANO,
    StartPeriod: startMs * NANO,
    Retries: RETRIES,
  };
}

/** For how long, from its start, a task may be without a good answer until Swarm gives it up. */
export function patienceMs(service: Pick<DesiredService, 'health' | 'port'>): number {
  const { intervalMs, timeoutMs, startMs } = service.health ?? PLAIN_HEALTH;
  return startMs + RETRIES * (intervalMs + timeoutMs + ASKING_MS);
}

/** By the age of process 1, in builtins alone: an image may hold little besides `sh`. The kernel counts in hundredths of a second. */
function rarely(young: number, ask: string): string {
  const facts = 'read -r up rest </proc/uptime; read -r line </proc/1/stat; set -- $line';
  const age = '$((${up%.*} - ${22:-0} / 100))';
  return `${facts}; [ ${age} -gt ${young} ] && sleep ${RARELY.waitS}; ${ask}`;
}

function rarelyByNode(young: number, ask: string): string {
  const age = `const f=(n)=>require('fs').readFileSync('/proc/'+n,'utf8').split(' ');const age=f('uptime')[0]-f('1/stat')[21]/100`;
  return `${age};setTimeout(()=>{${ask}},age>${young}?${RARELY.waitS * 1000}:0)`;
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
