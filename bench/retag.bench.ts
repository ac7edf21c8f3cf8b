import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { noise, pushImage, testImage } from '../src/registry/testing/images.ts';
import { alternate, median } from './figure.ts';
import type { Figure } from './figure.ts';

/** Retag in the server: the time must not grow with the image. */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-retag-'));
  try {
    const embedded = await createEmbeddedRegistry({ directory, host: 'localhost' });
    const registry = embedded.registry();
    const image = await testImage([{ blob: noise(20 * 1024 * 1024) }]);
    await pushImage(registry, 'bench/retag', image);
    let count = 0;
    const { towpath } = await alternate(20, [
      { name: 'towpath', run: async () => registry.tag('bench/retag', image.digest, `t${++count}`) },
    ]);
    return [{ name: 'retag.20mb.p50', value: median(towpath), unit: 'ms', goal: { op: '<=', value: 25 } }];
  } finally {
    await rm(directory, { recursive: true });
  }
}
