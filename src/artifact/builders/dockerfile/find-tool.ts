import { type Buildah, hasBuildah } from '../../../container/buildah/buildah.ts';
import type { DockerEngine } from '../../../container/docker/engine.ts';
import { hasCode } from '../../../lib/error.ts';
import { buildahTool } from './buildah-tool.ts';
import { dockerTool } from './docker-tool.ts';
import type { DockerfileTool } from './tool.ts';

/** The Docker Engine where one answers, else Buildah where it is installed, else null. */
export async function findDockerfileTool(parts: {
  readonly engine: () => Promise<DockerEngine>;
  readonly buildah: Buildah;
}): Promise<DockerfileTool | null> {
  try {
    return dockerTool(await parts.engine());
  } catch (error) {
    if (!hasCode(error, 'docker.unreachable')) throw error;
  }
  return (await hasBuildah()) ? buildahTool(parts.buildah) : null;
}
