import { buildImage } from '../../../container/docker/build.ts';
import type { DockerEngine } from '../../../container/docker/engine.ts';
import { pullImage, pushImage, removeImage } from '../../../container/docker/images.ts';
import { newId } from '../../../lib/ids.ts';
import { packContext } from './context.ts';
import type { DockerfileTool } from './tool.ts';

/** Builds in the Docker Engine: with BuildKit where it has it, else with its older builder. */
export function dockerTool(engine: DockerEngine): DockerfileTool {
  return {
    name: 'docker',
    async build({ context, dockerfile, bases, args, target, platform, to, log, signal }) {
      // Pulled here with the credentials of their own host; the build itself gets none.
      for (const { reference } of bases) await pullImage(engine, reference, { log, signal });
      const name = `towpath-build:${newId('b')}`;
      try {
        const image = await buildImage(engine, {
          context: packContext(context, new Map([[dockerfile.path, dockerfile.text]])),
          dockerfile: dockerfile.path,
          args,
          ...(target === undefined ? {} : { target }),
          name,
          platform,
          log,
          signal,
        });
        // A push needs a tag; made from the content, so that two builds never push each other's image.
        const tag = `incoming-${image.replace('sha256:', '').slice(0, 16)}`;
        return await pushImage(engine, image, { repository: to, tag }, { log, signal });
      } finally {
        await removeImage(engine, name);
      }
    },
  };
}
