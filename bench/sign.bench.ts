import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { signedBytes, writeBundle } from '../src/attestation/bundle.ts';
import { testClaim } from '../src/attestation/predicates.ts';
import { pushBundle } from '../src/attestation/referrer.ts';
import { sealedKeys } from '../src/attestation/signers/key/key.ts';
import { writeStatement } from '../src/attestation/statement.ts';
import { createVerifier } from '../src/attestation/verify.ts';
import { sha256, sha256Hex } from '../src/lib/digest.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { OCI_MANIFEST } from '../src/registry/manifest.ts';
import { type Figure, median } from './figure.ts';

const REPOSITORY = 'bench/sign';
const PUSHES = 50;
const STATEMENTS = 1000;

/** A statement that is signed and put beside its image over HTTP on this machine, and a thousand that are verified. */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-sign-'));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const embedded = await createEmbeddedRegistry({ directory, host });
  server.on('request', (request, response) => void embedded.handle(request, response));
  try {
    const registry = createRegistryClient({ host });
    const config = Buffer.from('{}');
    const descriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(config), size: config.length };
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: [] };
    const bytes = Buffer.from(JSON.stringify(manifest));
    await registry.writeBlob(REPOSITORY, { ...descriptor, open: () => config });
    const digest = await registry.putManifest(REPOSITORY, sha256(bytes), { mediaType: OCI_MANIFEST, bytes });
    const holder = sealedKeys(() => Promise.resolve('of a bench'));
    const { held, ...key } = await holder.make();
    const signer = await holder.open(held);
    const at = new Date(0);
    const bundleOf = async (sequence: number): Promise<string> => {
      const claim = testClaim({
        check: 'unit',
        verdict: 'passed',
        question: sha256Hex(String(sequence)),
        project: 'bench',
        service: 'sign',
        environment: null,
        commit: null,
        tests: { passed: 100, failed: 0, skipped: 0 },
        failedTests: [],
        until: null,
        at,
      });
      const link = { sequence, previous: null };
      const statement = writeStatement({ ...claim, name: REPOSITORY, digest, link });
      return writeBundle({ statement, signature: await signer.sign(signedBytes(statement)), hint: key.hint });
    };
    const image = { digest, mediaType: OCI_MANIFEST, bytes };
    const pushed: number[] = [];
    for (let i = 1; i <= PUSHES; i++) {
      const began = performance.now();
      const bundle = await bundleOf(i);
      await pushBundle(registry, { repository: REPOSITORY, image }, { bundle, predicateType: 'x', signedAt: at });
      pushed.push(performance.now() - began);
    }
    const bundles: string[] = [];
    for (let i = 1; i <= STATEMENTS; i++) bundles.push(await bundleOf(i));
    const verifier = createVerifier([{ ...key, state: 'active' }]);
    const took: number[] = [];
    for (let round = 0; round < 5; round++) {
      const began = performance.now();
      if (bundles.some((bundle) => verifier.verify(bundle, digest).kind !== 'verified'))
        throw new Error('Not verified.');
      took.push(performance.now() - began);
    }
    return [
      { name: 'sign.push.p50', value: median(pushed), unit: 'ms', goal: { op: '<=', value: 100 } },
      { name: 'sign.verify.1000', value: median(took), unit: 'ms' },
    ];
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true });
  }
}
