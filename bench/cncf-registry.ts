import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../src/lib/port.ts';
import { findGoProgram } from '../tools/go-programs.js';
import { until } from './towpath.ts';

/** The CNCF's registry on a folder, with its defaults and open to everybody. Null where it cannot be had. */
export async function startCncfRegistry(directory: string): Promise<{ host: string; stop(): Promise<void> } | null> {
  const program = findGoProgram('registry');
  if (program.missing !== undefined) {
    console.error(`\n*** NOT MEASURED: the CNCF registry - ${program.missing} ***\n`);
    return null;
  }
  const host = `127.0.0.1:${await freePort('127.0.0.1')}`;
  const settings = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') } },
    http: { addr: host },
  };
  const file = join(directory, 'settings.json'); // JSON is YAML
  await writeFile(file, JSON.stringify(settings));
  const child = spawn(program.path, ['serve', file], {
    stdio: 'ignore',
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  await until(() =>
    fetch(`http://${host}/v2/`).then(
      (answer) => (answer.ok ? true : null),
      () => null,
    ),
  );
  return {
    host,
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}
