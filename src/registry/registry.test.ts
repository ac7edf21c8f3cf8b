import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { debianRegistryHost } from '../../tools/test-machine/machine.ts';
import { createRegistryClient } from './client/client.ts';
import { createEmbeddedRegistry } from './embedded/embedded.ts';
import { registryContract } from './testing/contract.ts';
import { serve } from './testing/served.ts';

registryContract('the embedded registry in process', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-embedded-'));
  const embedded = await createEmbeddedRegistry({ directory, host: 'localhost:7070' });
  return { registry: embedded.registry(), close: async () => rm(directory, { recursive: true }) };
});

registryContract('the embedded registry over HTTP', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-embedded-'));
  const served = await serve(async (host) => {
    const embedded = await createEmbeddedRegistry({ directory, host });
    return (request, response) => void embedded.handle(request, response);
  });
  return {
    registry: createRegistryClient({ host: served.host }),
    close: async () => {
      await served.close();
      await rm(directory, { recursive: true });
    },
  };
});

registryContract(
  'the distribution registry of Debian',
  async () => {
    const registry = createRegistryClient({ host: await debianRegistryHost() });
    return { registry, close: async () => {} };
  },
  { deletesTags: false },
);
