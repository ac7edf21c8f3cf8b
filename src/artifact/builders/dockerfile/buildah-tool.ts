import { type Buildah, buildWithBuildah } from '../../../container/buildah/buildah.ts';
import { registryHostOf } from '../../../container/docker/images.ts';
import { newId } from '../../../lib/ids.ts';
import { packContext } from './context.ts';
import type { DockerfileTool } from './tool.ts';

/** Builds with Buildah, where there is no Docker Engine. */
export function buildahTool(buildah: Buildah): DockerfileTool {
  return {
    name: 'buildah',
    build: ({ context, dockerfile, bases, args, target, platform, to, log, signal }) =>
      buildWithBuildah(buildah, {
        context: packContext(context, new Map([[dockerfile.path, dockerfile.text]])),
        dockerfile: dockerfile.path,
        args,
        ...(target === undefined ? {} : { target }),
        platform,
        to: `${to}:incoming-${newId('b').slice(2)}`,
        hosts: bases.map(({ reference }) => registryHostOf(reference)),
        log,
        signal,
      }),
  };
}
