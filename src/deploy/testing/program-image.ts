import { gzipSync } from 'node:zlib';

import { fileEntry, imageOf, programEntries, tarOf, type TestImage } from '../../../tools/test-machine/oci-image.ts';
import { type Behaviour, PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './program.ts';

let base: Promise<Buffer> | undefined;

/**
 * The image of the test program: the Node of this Linux machine with its libraries, some 100 MB unpacked, and a small
 * server. Equal arguments, equal digest. `pushImage` brings it into a registry.
 */
export async function programImage(version: string, behaviour: Behaviour): Promise<TestImage> {
  base ??= nodeLayer();
  const files = Object.entries(programFiles(version, behaviour)).map(fileEntry);
  const layers = [await base, gzipSync(await tarOf(files))];
  return imageOf(layers, { argv: PROGRAM_ARGV, workdir: PROGRAM_WORKDIR });
}

async function nodeLayer(): Promise<Buffer> {
  const passwd = fileEntry(['/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n']);
  const group = fileEntry(['/etc/group', 'root:x:0:\nnode:x:1000:\n']);
  const node = await programEntries('/bin/node', process.execPath);
  return gzipSync(await tarOf([passwd, group, { path: '/tmp/', mode: 0o1777 }, ...node]), { level: 1 });
}
