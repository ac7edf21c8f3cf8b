import { createEmbeddedRegistry } from '../embedded.ts';
import { noise, pushImage, testImage } from '../../testing/images.ts';

/** Pushes image after image and names each, until it is killed: `writer.ts <directory> <seed>`. Prints what is done. */
const [directory = '', seed = ''] = process.argv.slice(2);
const registry = (await createEmbeddedRegistry({ directory, host: 'localhost' })).registry();
for (let i = 0; ; i++) {
  const image = await testImage([{ data: noise(200_000, `${seed}-${i}`) }, { name: `${seed}-${i}` }]);
  await pushImage(registry, 'killed/app', image, `t-${seed}-${i}`);
  await registry.tag('killed/app', image.digest, 'main');
  process.stdout.write(`done t-${seed}-${i} ${image.digest}\n`);
}
