import { buffer } from 'node:stream/consumers';

import { hashOfJson } from '../../../lib/digest.ts';
import type { Digest } from '../../../lib/digest.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { BlobPlace } from '../../image-store.ts';
import { readBaseImage } from '../../oci/base-image.ts';
import { assembleImage } from '../../oci/image.ts';
import { ensureBaseLayers, pushImage } from '../../oci/push.ts';
import { readFunctionManifest } from '../../zip/function-manifest.ts';
import { readZip } from '../../zip/zip-reader.ts';
import { nodeBaseLender, nodeBasePin, nodeParts } from '../node/create.ts';
import type { NodeBuilderOptions } from '../node/create.ts';
import { fromItems, makeLayer, pushLayer } from '../node/made-layer.ts';

/** Where Lambda unpacks a zip. */
const TASK = 'var/task';

/** Where an image's digest is asked for, what can be started under it. @returns the same digest for what is an image already */
export type RunnableImage = (repository: string, digest: Digest, signal: AbortSignal) => Promise<Digest>;

/**
 * Lets checks look into functions: an image of what is in their zips, at the place where Lambda has it, over the default
 * base of their line of Node. It is made anew on any machine with the same bytes, has no name, and goes when the registry
 * is swept.
 */
export function functionImages(
  options: NodeBuilderOptions & { readonly bucket: BlobPlace | null },
  platform: string,
): RunnableImage {
  const { images, layers } = nodeParts(options).base;
  const lendBase = nodeBaseLender(options);
  return async (repository, digest, signal) => {
    const stored = await images.manifest(repository, digest);
    const code = stored === null ? null : readFunctionManifest(stored.bytes);
    if (code === null) return digest;
    const reference = `towpath:node-${code.node}`;
    const pin = nodeBasePin(reference, platform);
    const lent = pin === null ? null : await lendBase(reference, { pin, platform, log: () => undefined, signal });
    if (lent === null || code.platform !== platform) throw notHere(code.node, code.platform);
    const base = await readBaseImage(images, lent.repository, lent.digest, platform);
    const place = code.rest === 'bucket' ? options.bucket : images;
    if (place === null) throw noBucket();
    const items = async () => {
      const zips = await Promise.all(
        code.zips.map(async (zip) => readZip(await buffer(await place.readBlob(repository, zip.digest)))),
      );
      return zips.flat().map((item) => ({ ...item, path: `${TASK}/${item.path}` }));
    };
    const key = hashOfJson({ layer: 'function', task: TASK, zips: code.zips.map((zip) => zip.digest) });
    const layer = await makeLayer(layers, { summary: 'function', key, write: fromItems(items, signal) });
    const image = assembleImage(base, [{ ...layer, summary: 'towpath serverless: function' }], {
      command: ['node'],
      workdir: `/${TASK}`,
      env: { LAMBDA_TASK_ROOT: `/${TASK}` },
    });
    await ensureBaseLayers(images, repository, base.layers, { images, repository: lent.repository });
    await pushLayer(images, layers, repository, layer);
    return pushImage(images, repository, image);
  };
}

function noBucket(): ArtifactError {
  return new ArtifactError({
    code: 'artifact.no-bucket',
    what: 'The zips of the function rest in a bucket, and this server knows none.',
    fix: 'Set TOWPATH_ZIPS on every server, alike.',
  });
}

function notHere(node: string, platform: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.function-elsewhere',
    what: `The function is for Node ${node} on ${platform}, and nothing here can run that.`,
    fix: 'Build it again, or run the check on a worker of that platform.',
  });
}
