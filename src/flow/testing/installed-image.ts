import type { ScanTools } from '../../check/kind.ts';
import { testImages } from '../../container/testing/images.ts';

/** An image in which each package is installed that the text names: `lodash@4.17.20`. */
export async function installedImage(text: string): ReturnType<ScanTools['imageOf']> {
  const images = testImages();
  const modules = [...text.matchAll(/(\S+)@(\S+)/g)].map(([, name = '', version]) => ({
    name: `node_modules/${name}/package.json`,
    content: JSON.stringify({ name, version }),
  }));
  const image = await images.add('installed', { layers: [modules] });
  return { source: images, repository: 'installed', image, platform: 'linux/amd64' };
}
