// Moves the default base images to the packages of today: `npm run refresh:base`, then look at the diff of
// src/artifact/builders/node/base/node-base.lock.json and commit it. Needs gpgv and Debian's keyring.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { aptMirrors, mirrorsFor } from '../src/artifact/builders/node/base/debian-mirror.ts';
import { refreshLock } from '../src/artifact/builders/node/base/refresh.ts';
import { readNpmConfig } from '../src/artifact/builders/node/npm-config.ts';
import { createTarballs } from '../src/artifact/builders/node/tarballs.ts';
import { memoryImageStore } from '../src/artifact/testing/memory-image-store.ts';
import { createLayerCache } from '../src/artifact/oci/layer-cache.ts';

const file = resolve('src/artifact/builders/node/base/node-base.lock.json');
const folder = await mkdtemp(join(tmpdir(), 'towpath-base-'));
try {
  const day = `${new Date().toISOString().slice(0, 10).replaceAll('-', '')}T000000Z`;
  const mirrors = mirrorsFor(aptMirrors(), day);
  const lock = await refreshLock(
    {
      images: memoryImageStore(),
      layers: createLayerCache(join(folder, 'layers')),
      tarball: createTarballs(join(folder, 'npm')),
      npm: readNpmConfig(process.env),
      mirrors,
      directory: join(folder, 'debian'),
    },
    {
      mirror: mirrors.find((root) => root.endsWith('/debian')) ?? '',
      securityMirror: mirrors.find((root) => root.endsWith('/debian-security')) ?? '',
      keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
      day,
    },
  );
  await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`);
  for (const [platform, { nodes }] of Object.entries(lock.platforms))
    for (const [line, { version, image }] of Object.entries(nodes))
      console.log(`${platform} node ${line}: ${version} ${image}`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
