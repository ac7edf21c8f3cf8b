import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { sourceOf } from '../testing/source.ts';
import { createRenderer } from './render.ts';

test('a chart that is the whole repository brings no plug-ins into the home of the program', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-render-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const program = join(directory, 'helm');
  await writeFile(program, '#!/bin/sh\necho "$HOME"/.local/*\n', { mode: 0o755 });
  const renderer = createRenderer({ kustomize: program, helm: program });
  const files = { 'Chart.yaml': 'name: shop\n', '.local/share/helm/plugins/a/plugin.yaml': 'name: a\n' };
  const source = { ...sourceOf(files), list: () => Promise.resolve(Object.keys(files)) };
  const options = { namespace: 'shop', signal: new AbortController().signal };
  expect(await renderer.helm(source, { chart: '.', values: [] }, options)).toMatch(/\/\.local\/\*\n$/);
});
