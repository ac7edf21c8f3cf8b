import { parseArgs } from 'node:util';

import { serveProxy } from './serve.ts';

/** `towpath proxy --state FILE --socket PATH [--host ADDRESS]`: runs the proxy until it is told to end. */
export async function runProxyProgram(args: readonly string[], log: (line: string) => void): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { state: { type: 'string' }, socket: { type: 'string' }, host: { type: 'string' } },
    strict: true,
  });
  const { state = '', socket = '', host } = values;
  const proxy = await serveProxy({ stateFile: state, socket, log, ...(host === undefined ? {} : { host }) });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void proxy.stop());
  await proxy.ended;
}
