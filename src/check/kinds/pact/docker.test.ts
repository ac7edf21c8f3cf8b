import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import { makeTestImage } from '../../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../../tools/test-machine/machine.ts';
import { listContainers } from '../../../container/docker/containers.ts';
import { connectDocker } from '../../../container/docker/engine.ts';
import { dockerTaskRunner } from '../../../container/docker/task-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { pact } from './pact.ts';

test('a provider in a container is asked on a network of its own, and is gone afterwards', async () => {
  const engine = await connectDocker({ host: await dockerHost() });
  const image = await makeTestImage({
    base: 'busybox',
    files: { '/www/index.html': 'up', '/www/tea': '4' },
    argv: ['sh', '-c', 'exec httpd -f -p "$PORT" -h /www'],
  });
  const reference = await pushTestImage(await debianRegistryHost(), 'check/pact', image);
  const directory = await mkdtemp(join(tmpdir(), 'pact-docker-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const asks = (path: string): string =>
    JSON.stringify({
      consumer: { name: 'web' },
      provider: { name: 'api' },
      interactions: [{ description: `a look at ${path}`, request: { method: 'GET', path }, response: { status: 200 } }],
      metadata: { pactSpecification: { version: '2.0.0' } },
    });
  const verify = (text: string) =>
    pact.ask(
      {
        definition: z.strictObject(pact.fields).parse({ pact: { port: 8080 } }),
        check: 'contracts',
        service: 'api',
        digest: image.digest,
        commit: '4f2a91c',
        source: memorySource({}),
        parts: [],
        pact: { consumer: 'web', digest: 'd', text: async () => text },
        urls: {},
        name: 'towpath-pact-test',
        timeoutMs: 60_000,
        log: () => undefined,
        signal: new AbortController().signal,
      },
      {
        runner: dockerTaskRunner(engine),
        image: async () => ({ reference, config: { entrypoint: [], command: [], env: {}, workdir: '', user: '' } }),
        directory,
        sonar: null,
      },
    );
  expect(await verify(asks('/tea'))).toMatchObject({ verdict: 'passed', summary: 'it keeps to what web expects (1)' });
  expect(await verify(asks('/coffee'))).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('404') as string,
  });
  expect(await listContainers(engine, { 'dev.towpath.check': 'contracts' })).toEqual([]);
});
