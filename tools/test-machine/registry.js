// The registry of Debian: another maker's implementation of the distribution API, to hold ours against.
import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';

import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

export async function startRegistry(directory) {
  await mkdir(directory, { recursive: true });
  const address = `127.0.0.1:${await freePort()}`;
  const settings = join(directory, 'settings.json'); // JSON is YAML
  await writeFile(
    settings,
    JSON.stringify({
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
      http: { addr: address },
    }),
  );
  const { stop } = await startDaemon({
    program: programPath('docker-registry') ?? 'docker-registry',
    argv: ['serve', settings],
    log: join(directory, 'registry.log'),
    isReady: () => answers(`http://${address}/v2/`),
  });
  return { address, stop };
}

function answers(url) {
  return new Promise((resolve) => {
    get(url, (response) => resolve(response.resume().statusCode === 200)).on('error', () => resolve(false));
  });
}
