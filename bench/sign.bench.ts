import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { signedBytes, writeBundle } from '../src/attestation/bundle.ts';
import { chainOf } from '../src/attestation/chain.ts';
import { type Claim, policyClaim, testClaim } from '../src/attestation/predicates.ts';
import { pushBundle } from '../src/attestation/referrer.ts';
import { sealedKeys } from '../src/attestation/signers/key/key.ts';
import { writeStatement } from '../src/attestation/statement.ts';
import { createVerifier } from '../src/attestation/verify.ts';
import { sha256, sha256Hex } from '../src/lib/digest.ts';
import { decideStated } from '../src/path/decide-stated.ts';
import { termsOf } from '../src/path/terms.ts';
import { answerOf, factsOf } from '../src/path/testing/facts.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { OCI_MANIFEST } from '../src/registry/manifest.ts';
import { type Figure, median } from './figure.ts';

const REPOSITORY = 'bench/sign';
const PUSHES = 50;
const STATEMENTS = 1000;
/** Each a gate, answered twice. */
const QUESTIONS = 500;
const ROUNDS = 15;

/** A statement that is signed and put beside its image over HTTP on this machine, and a thousand that are verified and decided by. */
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
    const claimOf = (sequence: number) =>
      testClaim({
        check: `check-${sequence % QUESTIONS}`,
        verdict: 'passed',
        question: sha256Hex(String(sequence % QUESTIONS)),
        project: 'bench',
        service: 'sign',
        environment: null,
        commit: null,
        tests: { passed: 100, failed: 0, skipped: 0 },
        failedTests: [],
        until: null,
        at,
      });
    const bundleOf = async (claim: Claim, sequence: number, previous: string | null): Promise<[string, string]> => {
      const statement = writeStatement({ ...claim, name: REPOSITORY, digest, link: { sequence, previous } });
      return [
        statement,
        writeBundle({ statement, signature: await signer.sign(signedBytes(statement)), hint: key.hint }),
      ];
    };
    const image = { digest, mediaType: OCI_MANIFEST, bytes };
    const pushed: number[] = [];
    for (let i = 1; i <= PUSHES; i++) {
      const began = performance.now();
      const [, bundle] = await bundleOf(claimOf(i), i, null);
      await pushBundle(registry, { repository: REPOSITORY, image }, { bundle, predicateType: 'x', signedAt: at });
      pushed.push(performance.now() - began);
    }
    const bundles: string[] = [];
    let previous: string | null = null;
    for (let i = 1; i <= STATEMENTS; i++) {
      const [statement, bundle] = await bundleOf(i === STATEMENTS ? terms() : claimOf(i), i, previous);
      bundles.push(bundle);
      previous = sha256Hex(statement);
    }
    const verifier = createVerifier([{ ...key, state: 'active' }]);
    const took: number[] = [];
    const decided: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      const verified = bundles.flatMap((bundle) => {
        const one = verifier.verify(bundle, digest);
        return one.kind === 'verified' ? [one] : [];
      });
      took.push(performance.now() - began);
      const beganToDecide = performance.now();
      const { verdict } = decideStated(chainOf(verified, REPOSITORY), { environment: 'prod', now: 0 });
      decided.push(performance.now() - beganToDecide);
      if (verified.length !== STATEMENTS || verdict !== 'go') throw new Error(`It was decided otherwise: ${verdict}`);
    }
    return [
      { name: 'sign.push.p50', value: median(pushed), unit: 'ms', goal: { op: '<=', value: 100 } },
      { name: 'sign.verify.1000', value: median(took), unit: 'ms' },
      // the chain, the facts and the policy: what comes after the signatures
      { name: 'sign.decide.1000', value: median(decided), unit: 'ms', goal: { op: '<=', value: 50 } },
    ];
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true });
  }
}

function terms(): Claim {
  const names = Array.from({ length: QUESTIONS }, (_, i) => `check-${i}`);
  const facts = factsOf({
    environment: { name: 'prod', gates: names.map((name) => ({ kind: 'check', name })) },
    evidence: Object.fromEntries(
      names.map((name, i) => [name, [{ ...answerOf(null), service: 'sign', question: sha256Hex(String(i)) }]]),
    ),
  });
  const about = { project: 'bench', service: 'sign', services: ['sign'], fingerprint: '', circumstances: '' };
  return policyClaim({ environment: 'prod', promotion: 'pro_1', terms: termsOf(facts, about), at: new Date(0) });
}
