import { mkdtemp, readdir, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { json, openStore } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { sha256 } from '../src/lib/digest.ts';
import { each } from '../src/lib/each.ts';
import { inParts } from '../src/lib/parts.ts';
import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { OCI_MANIFEST } from '../src/registry/manifest.ts';
import type { Figure } from './figure.ts';
import { removeTowpath, startTowpath } from './towpath.ts';

const MANIFESTS = 10_000;
const SERVICES = 10;
/** Of the images every hundredth has neither a name nor a root, and goes. */
const GONE = 100;
const BASE_LAYERS = 3;
const TWO_DAYS_MS = 2 * 86_400_000;

/**
 * `towpath registry sweep` over a long history, asked as a user asks it: every image was built, has the name of its commit,
 * a configuration and a layer of its own, and shares three layers with its service's others. All of it is two days old, so
 * that the first sweep has to mark whatever stays.
 */
export async function run(): Promise<Figure[]> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-bench-sweep-'));
  const postgres = await startEmbeddedPostgres({ directory: join(data, 'pg') }); // the server of this data takes it over
  const server = await startTowpath(data);
  try {
    await fill(data, postgres.url);
    const seconds: number[] = [];
    for (const dryRun of [true, false, false]) {
      const began = performance.now();
      const { goes, stays } = await server.client.call('registry.sweep', { body: { dryRun } });
      seconds.push((performance.now() - began) / 1000);
      if (goes.length + stays.length < MANIFESTS - MANIFESTS / GONE) throw new Error('The sweep lost images.');
    }
    const [dry = Number.NaN, first = Number.NaN, again = Number.NaN] = seconds;
    return [
      { name: 'sweep-10000', value: first, unit: 's', goal: { op: '<=', value: 10 } },
      { name: 'sweep-10000.dry-run', value: dry, unit: 's', goal: { op: '<=', value: 10 } },
      { name: 'sweep-10000.again', value: again, unit: 's', goal: { op: '<=', value: 10 } },
    ];
  } finally {
    await server.stop();
    await postgres.stop();
    await removeTowpath(data);
  }
}

async function fill(data: string, databaseUrl: string): Promise<void> {
  const directory = join(data, 'registry');
  const registry = (await createEmbeddedRegistry({ directory, host: 'bench' })).registry();
  const built: { repository: string; digest: string; n: number }[] = [];
  await each(
    Array.from({ length: MANIFESTS }, (_, n) => n),
    16,
    async (n) => {
      const repository = `bench/s${n % SERVICES}`;
      const write = async (mediaType: string, text: string) => {
        const content = Buffer.from(text);
        const digest = sha256(content);
        await registry.writeBlob(repository, { digest, size: content.length, open: () => content });
        return { mediaType, digest, size: content.length };
      };
      const layers = [];
      for (const text of [...Array.from({ length: BASE_LAYERS }, (_, i) => `base ${repository} ${i}`), `layer ${n}`])
        layers.push(await write('application/vnd.oci.image.layer.v1.tar+gzip', text));
      const config = await write('application/vnd.oci.image.config.v1+json', `{"n":${n}}`);
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }));
      const gone = n % GONE === 0;
      const digest = sha256(bytes);
      await registry.putManifest(repository, gone ? digest : `c${n}`, { mediaType: OCI_MANIFEST, bytes });
      if (!gone) built.push({ repository, digest, n });
    },
  );
  await age(directory);
  await recordBuilt(databaseUrl, built);
}

async function age(directory: string): Promise<void> {
  const then = new Date(Date.now() - TWO_DAYS_MS);
  for (const folder of ['blobs', 'repositories'])
    await each(await readdir(join(directory, folder), { recursive: true, withFileTypes: true }), 16, async (entry) =>
      utimes(join(entry.parentPath, entry.name), then, then),
    );
}

async function recordBuilt(
  databaseUrl: string,
  built: readonly { repository: string; digest: string; n: number }[],
): Promise<void> {
  const store = await openStore(databaseUrl);
  try {
    await store.db.insertInto('project').values({ id: 'prj_bench', name: 'bench' }).execute();
    const rows = built.map(({ repository, digest, n }) => ({
      key: sha256(`key ${n}`),
      project_id: 'prj_bench',
      service: repository.replace('bench/', ''),
      builder: 'node',
      inputs: json({ kind: 'image' }),
      state: 'built' as const,
      repository,
      digest,
      log_id: `log_${n}`,
      built_for_commit: sha256(`commit ${n}`).slice(7, 47),
    }));
    for (const part of inParts(rows, 1000)) await store.db.insertInto('artifact').values(part).execute();
  } finally {
    await store.close();
  }
}
