import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { actionsClaims } from '../src/access/oidc/testing/claims.ts';
import { testIssuer } from '../src/access/oidc/testing/issuer.ts';
import { makeCertificate } from '../src/registry/testing/certificate.ts';
import { debianRegistryHost } from '../tools/test-machine/machine.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

const run = promisify(execFile);
const project = 'report-shop';

let server: TestServer;
let repository: TestRepository;
let story: Story;
let registry: string;
let scratch: string;
let ci: Server;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'towpath-any-ci-'));
  const certificate = await makeCertificate(['127.0.0.1']);
  const authorities = join(scratch, 'authorities.pem');
  await writeFile(authorities, certificate.cert);
  ci = createServer(certificate).listen(0, '127.0.0.1');
  [server, repository, registry] = await Promise.all([
    startServer({ env: { NODE_EXTRA_CA_CERTS: authorities, TOWPATH_OUTGOING_ALLOW: '127.0.0.1' } }),
    createRepository(),
    debianRegistryHost(),
  ]);
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
  ci.closeAllConnections();
  ci.close();
  await rm(scratch, { recursive: true, force: true });
});

test('what another CI pushed with skopeo and reported with its token runs in production as that very digest', async () => {
  const team = `team/${project}-${process.pid}`;
  const files = smallShop({ project });
  const external = `build: { external: { image: "${registry}/${team}", provenance: { source: "https://git.example/*" } } }`;
  const inside = await repository.commit('Built inside', files);
  await server.client.call('project.add', { body: { url: repository.url } });
  const issuer = await testIssuer(`https://127.0.0.1:${(ci.address() as AddressInfo).port}`);
  ci.on('request', issuer.site);
  const trusted = `identities: { actions: { github: { issuer: "${issuer.issuer}", repository: team/shop } } }\n`;
  const built = (await story.live('qa', inside)).services[0]?.digest ?? '';

  const commit = await repository.commit('Built elsewhere', {
    'towpath.yaml': `${(files['towpath.yaml'] ?? '').replace('build: { node: { start: main.js } }', external)}\n${trusted}`,
    'services/web/main.js': program('built elsewhere'),
  });
  await repository.git('tag', 'v1');
  await story.release(commit, 'building');
  expect((await server.cli('why', commit)).stdout).toContain(
    `towpath artifact report --service web --commit ${commit}`,
  );

  // the other CI: its image is one that runs here, under a digest of its own place
  const from = `docker://${server.client.server.replace('http://', '')}/${project}/web@${built}`;
  const to = `docker://${registry}/${team}:ci`;
  const credentials = ['--src-creds', `ci:${server.token}`];
  await run('skopeo', ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', ...credentials, from, to]);
  const { stdout } = await run('skopeo', ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', to]);
  const digest = stdout.trim();
  const stored = await server.cli('token', 'create', '--user', 'ci-shop', '--role', 'ci');
  const tokenFile = join(scratch, 'token');
  await writeFile(tokenFile, stored.stdout);
  const provenance = join(scratch, 'provenance.json');
  await writeFile(provenance, JSON.stringify(statement(digest, commit)));
  const words = `--service web --commit ${commit} --digest ${digest} --wait`.split(' ');
  const report = (...more: string[]) =>
    server.cli(...`artifact report --project ${project} --token-file`.split(' '), tokenFile, ...words, ...more);

  const without = await report();
  expect(without.code).toBe(3);
  expect(without.stdout).toContain('towpath.yaml asks for provenance, and none was reported.');
  expect(await report('--provenance', provenance)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/ is accepted \(key [0-9a-f]{12}\)\n$/) as string,
  });
  expect((await report('--provenance', provenance)).code).toBe(0); // a job that runs again

  // a job of the same CI without a stored token, and one for another commit
  const identity = async (sha: string) => {
    const claims = actionsClaims(Date.now(), { iss: issuer.issuer, aud: server.client.server, sha });
    await writeFile(tokenFile, await issuer.sign(claims));
    return server.cli(...`artifact report --project ${project} --oidc-token`.split(' '), tokenFile, ...words);
  };
  expect(await identity(commit)).toMatchObject({ code: 0, stdout: expect.stringContaining(' is accepted ') as string });
  expect(await identity(inside)).toMatchObject({ code: 4, stderr: expect.stringContaining(inside) as string });
  expect(server.output()).not.toContain((await issuer.sign({})).split('.')[0]);

  await story.live('qa', commit);
  const prod = await story.live('prod', commit);
  expect(prod.services).toMatchObject([{ service: 'web', digest }]);
  expect(await (await fetch(prod.services[0]?.url ?? '')).text()).toContain('web says hello'); // what it was copied from
  expect((await server.cli('lineage', commit)).stdout).toMatch(
    /^web +sha256:.* reported by ci-shop for .* from .*, built by https:\/\/ci\.example\/shop$/m,
  );

  const dev = await server.cli('token', 'create', '--user', 'dev', '--role', 'developer');
  await writeFile(tokenFile, dev.stdout);
  expect((await report()).code).toBe(4);
}, 240_000);

function statement(digest: string, commit: string): object {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'web', digest: { sha256: digest.slice(7) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        resolvedDependencies: [{ uri: 'git+https://git.example/shop@refs/tags/v1', digest: { gitCommit: commit } }],
      },
      runDetails: { builder: { id: 'https://ci.example/shop' } },
    },
  };
}
