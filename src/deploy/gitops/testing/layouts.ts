import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { ImagePlace } from '../image-place.ts';

/** An image in one of the manifests of `fixtures/manifests`. */
export interface Layout {
  readonly place: ImagePlace;
  /** The texts that may become others, in the order of the file; each is the only one of its kind behind the one before. */
  readonly spots: readonly string[];
  /** How many whole lines may be added behind the last spot. */
  readonly lines?: number;
}

export function manifestBytes(file: string): Buffer {
  return readFileSync(fileURLToPath(new URL(`../../../../fixtures/manifests/${file}`, import.meta.url)));
}

/**
 * What the file may look like: the bytes between the spots as they are, and one line of text for each spot.
 * @returns a pattern for its bytes, as latin1
 */
export function shapeOf(before: Buffer, { spots, lines = 0 }: Layout): RegExp {
  let rest = before.toString('latin1');
  const pieces: string[] = [];
  for (const spot of spots) {
    const at = rest.indexOf(spot);
    if (at < 0) throw new Error(`There is no "${spot}".`);
    pieces.push(rest.slice(0, at));
    rest = rest.slice(at + spot.length);
  }
  const between = pieces.map((piece) => `${escaped(piece)}[\\x20-\\x7e]*`).join('');
  const [line = ''] = /^[^\r\n]*/.exec(rest) ?? [];
  const eol = before.includes('\r\n') ? '\r\n' : '\n';
  const added = lines === 0 ? '' : `(?:${eol} +digest: [\\x20-\\x7e]*)?`;
  return new RegExp(`^${between}${escaped(line)}${added}${escaped(rest.slice(line.length))}$`);
}

function escaped(text: string): string {
  return text.replace(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
}

const CONTAINER = 'spec.template.spec.containers';
const WEB = 'registry.example.com/shop/web:1.4.0';

function image(file: string, path: string, spot: string, document?: { kind?: string; name?: string }): Layout {
  return { place: { file, image: path, ...(document === undefined ? {} : { document }) }, spots: [spot] };
}

export const layouts: readonly Layout[] = [
  image('deployment-comments.yaml', `${CONTAINER}[name=web].image`, WEB),
  image('deployment-comments.yaml', `${CONTAINER}[0].image`, 'registry.example.com/mesh/proxy:2.4.1'),
  image('multi-document.yaml', `${CONTAINER}[name=main].image`, `"${WEB}"`, { kind: 'Deployment', name: 'web' }),
  image('multi-document.yaml', `${CONTAINER}[0].image`, `'registry.example.com/shop/worker:1.4.0'`, { name: 'worker' }),
  image('crlf-deployment.yaml', `${CONTAINER}[name=web].image`, WEB),
  { place: { file: 'bom-values.yaml', helm: 'image' }, spots: ['"1.4.0"', '""'] },
  { place: { file: 'helm-values.yaml', helm: 'image' }, spots: ['1.4.0', "''"] },
  { place: { file: 'helm-number-tag.yaml', helm: 'image' }, spots: ['1.20'] },
  {
    place: { file: 'helm-number-tag.yaml', helm: 'image', name: 'registry.example.com/shop/web' },
    spots: ['shop/web', '1.20'],
  },
  { place: { file: 'helm-umbrella.yaml', helm: 'web.image' }, spots: [`'v1.4.0'`, '""'] },
  { place: { file: 'helm-umbrella.yaml', helm: 'worker.image' }, spots: ['"v1.4.0"'] },
  { place: { file: 'helm-umbrella.yaml', helm: 'database.image' }, spots: ['"17"'] },
  { place: { file: 'kustomization-new-tag.yaml', kustomize: 'shop/web' }, spots: ['v1.4.0'], lines: 1 },
  { place: { file: 'kustomization-new-tag.yaml', kustomize: 'shop/worker' }, spots: ['v1.3.9'], lines: 1 },
  {
    place: { file: 'kustomization-digest-crlf.yaml', kustomize: 'shop/web' },
    spots: [`sha256:${'1'.repeat(64)}`],
  },
  {
    place: { file: 'kustomization-digest-crlf.yaml', kustomize: 'shop/worker', name: 'registry.example.com/w' },
    spots: ['registry.example.com/shop/worker'],
    lines: 1,
  },
  { place: { file: 'kustomization-flow.yaml', kustomize: 'shop/web' }, spots: ['"1.4.0"'] },
  { place: { file: 'kustomization-flow.yaml', kustomize: 'shop/worker' }, spots: [' 1.4.0'] },
  {
    place: { file: 'app-of-apps.yaml', helm: 'spec.source.helm.valuesObject.image' },
    spots: ['1.4.0'],
  },
  image('app-of-apps.yaml', 'spec.source.kustomize.images[0]', 'worker=registry.example.com/shop/worker:1.4.0', {
    kind: 'Application',
    name: 'worker',
  }),
  image('anchors-beside.yaml', 'web.image', WEB),
  image('anchors-beside.yaml', 'worker.image', 'registry.example.com/shop/worker:1.4.0'),
  image('block-scalars.yaml', `${CONTAINER}[name=migrate].image`, 'registry.example.com/shop/migrate:1.4.0'),
  { place: { file: 'flux-helm-release.yaml', helm: 'spec.values.image' }, spots: ['1.4.0'] },
  image('stateful-set.yaml', 'spec.template.spec.initContainers[0].image', 'registry.example.com/shop/init:1.4.0'),
  image('stateful-set.yaml', `${CONTAINER}[name=store].image`, '"registry.example.com/shop/store:1.4.0"'),
  image('stack.yaml', 'services.web.image', WEB),
  image('stack.yaml', 'services.worker.image', 'registry.example.com/shop/worker'),
  image('no-last-newline.yaml', 'spec.image', WEB),
  image('other-scripts.yaml', 'spec."größe.bild".image', WEB),
  image('cron-job.yaml', 'metadata.annotations."app.example.com/image"', 'registry.example.com/shop/nightly:1.4.0'),
  image(
    'cron-job.yaml',
    'spec.jobTemplate.spec.template.spec.containers[name=nightly].image',
    `registry.example.com/shop/nightly:1.4.0@sha256:${'2'.repeat(64)}`,
  ),
  image(
    'list-directive.yaml',
    'items[1].spec.template.spec.containers[name=collector].image',
    `'registry.example.com/shop/collector:1.4.0'`,
  ),
];
