import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describeDriver, makeDriver, testTools } from 'towpath/testing';

import driver from './files.js';
import { fileName } from './place.js';

describeDriver(driver, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'driver-files-'));
  return {
    // made anew each time, as a server does after a kill: it may know nothing but what lies in its folder
    restart: () => makeDriver(driver, testTools(directory)),
    // no image is run here, so a digest will do; `programImage` and `pushImage` are for those that run some
    image: (version, behaviour) =>
      Promise.resolve({
        image: 'registry.test/shop/web',
        digest: `sha256:${createHash('sha256').update(`${version} ${behaviour}`).digest('hex')}` as const,
      }),
    // somebody removes a file
    harm: async (target, service) => {
      const { services } = await makeDriver(driver, testTools(directory)).observe(target);
      for (const { place } of services[service]?.written ?? []) await rm(join(place, fileName(service)));
    },
    traces: async (text) => {
      const found: string[] = [];
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && (await readFile(path, 'utf8')).includes(text)) found.push(path);
      }
      return found;
    },
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});
