import type { ProxyOptions } from './cli/house.ts';
import { serveProxy } from './deploy/proxy/serve.ts';

/** The reverse proxy of this machine's environments, until it is told to end. It loads nothing of the server: it stays small. */
export async function proxy(options: ProxyOptions): Promise<number> {
  const running = await serveProxy({
    stateFile: options.state,
    socket: options.socket,
    log: (line) => void process.stderr.write(`${line}\n`),
  });
  options.signal.addEventListener('abort', () => void running.stop());
  await running.ended;
  return 0;
}
