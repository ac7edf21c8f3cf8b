import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { Desired } from '../driver.ts';
import { judge } from '../judge.ts';
import { describeDriver } from '../testing/conformance.ts';
import { gitopsUnderTest } from '../testing/manifest-machine.ts';
import { GitopsConfig, gitopsStatement } from './config.ts';

describeDriver(gitopsStatement, () => gitopsUnderTest());

let under: Awaited<ReturnType<typeof gitopsUnderTest>>;
let token = 0n;

beforeAll(async () => {
  under = await gitopsUnderTest();
});
afterAll(() => under.dispose());

const target = { project: 'shop', environment: 'prod', slug: 'prod-1' };

function desiredOf(version: string, more: Partial<GitopsConfig> = {}): Desired<GitopsConfig> {
  const config = GitopsConfig.parse({
    repository: under.repository.url,
    folder: 'prod',
    services: {
      web: [
        { file: 'web.yaml', image: 'spec.containers[name=web].image' },
        { file: 'kustomization.yaml', kustomize: 'shop/web' },
      ],
    },
    ...more,
  });
  return {
    target,
    config,
    operation: `promotion-${version}`,
    promotion: { number: 12, release: version, commit: 'c'.repeat(40), evidence: ['unit passed e1', 'scan passed e2'] },
    services: [
      {
        service: 'web',
        image: 'registry.test/shop/web',
        digest: sha256(version),
        tag: version,
        env: {},
        secrets: {},
        replicas: 3,
        limits: {},
      },
    ],
  };
}

async function deploy(desired: Desired<GitopsConfig>): Promise<readonly string[]> {
  const driver = under.restart();
  const lines: string[] = [];
  const actions = driver.plan(desired, await driver.observe(target));
  await driver.apply(desired, actions, {
    log: (line) => lines.push(line),
    signal: new AbortController().signal,
    token: ++token,
  });
  return lines;
}

async function manifests(): Promise<void> {
  await under.repository.commit({
    files: {
      'prod/web.yaml': 'spec:\n  containers:\n    - name: web\n      image: shop/web:v0 # by hand\n',
      'prod/kustomization.yaml': 'images:\n  - name: shop/web\n    newTag: v0\n',
    },
  });
}

test('one commit for all places of a promotion says what it is, to people and to programs', async () => {
  await manifests();
  const before = await under.repository.git('rev-parse', 'main');
  const lines = await deploy(desiredOf('v1.4.0'));
  expect(await under.repository.git('rev-list', '--count', `${before}..main`)).toBe('1');
  expect(await under.repository.git('log', '-1', '--format=%an <%ae>%n%B', 'main')).toBe(
    [
      'Towpath <towpath@localhost>',
      'prod: web v1.4.0',
      '',
      'Promotion 12 of shop.',
      '',
      'Towpath-Promotion: promotion-v1.4.0',
      `Towpath-Release: v1.4.0 ${'c'.repeat(40)}`,
      `Towpath-Digest: web@${sha256('v1.4.0')}`,
      'Towpath-Evidence: unit passed e1',
      'Towpath-Evidence: scan passed e2',
    ].join('\n'),
  );
  const changes = (await under.repository.git('diff', '--unified=0', before, 'main')).split('\n');
  expect(changes.filter((line) => /^[+-] /.test(line))).toEqual([
    '-    newTag: v0',
    '+    newTag: v1.4.0',
    `+    digest: ${sha256('v1.4.0')}`,
    '-      image: shop/web:v0 # by hand',
    `+      image: shop/web@${sha256('v1.4.0')} # by hand`,
  ]);
  expect(lines.at(-1)).toBe(`it stands in commit ${(await under.repository.git('rev-parse', 'main')).slice(0, 12)}`);
});

test('what stands there by hand is noticed, and what was asked for is judged by every place', async () => {
  await manifests();
  const desired = desiredOf('v1.5.0');
  await deploy(desired);
  expect(judge(desired, await under.restart().observe(target))).toEqual({ kind: 'good' });
  await under.repository.commit({
    files: { 'prod/web.yaml': 'spec:\n  containers:\n    - name: web\n      image: shop/web:hotfix\n' },
  });
  expect(judge(desired, await under.restart().observe(target))).toMatchObject({
    kind: 'wrong',
    what: expect.stringContaining('web.yaml') as string,
  });
  await deploy(desired);
  expect(judge(desired, await under.restart().observe(target))).toEqual({ kind: 'good' });
});

test('what a manifest would not say is refused before anything is written', async () => {
  await manifests();
  const head = await under.repository.git('rev-parse', 'main');
  const [web] = desiredOf('v2').services;
  if (web === undefined) throw new Error('There is no service.');
  const cases = [
    [{ ...desiredOf('v2'), services: [{ ...web, env: { COLOUR: 'red' } }] }, 'gitops.settings'],
    [{ ...desiredOf('v2'), services: [{ ...web, service: 'worker' }] }, 'gitops.unmapped'],
    [desiredOf('v2', { folder: 'nowhere' }), 'gitops.no-file'],
    [desiredOf('v2', { branch: 'nowhere' }), 'gitops.no-branch'],
  ] as const;
  for (const [desired, code] of cases) await expect(deploy(desired)).rejects.toMatchObject({ code });
  expect(await under.repository.git('rev-parse', 'main')).toBe(head);
});

test('taken down, the manifests stay, and it says so', async () => {
  await manifests();
  await deploy(desiredOf('v1.6.0'));
  const head = await under.repository.git('rev-parse', 'main');
  const lines: string[] = [];
  const context = { log: (line: string) => lines.push(line), signal: new AbortController().signal, token: ++token };
  await under.restart().destroy(target, context);
  expect(lines.join()).toContain('stay');
  expect(await under.restart().observe(target)).toEqual({ services: {} });
  expect(await under.repository.git('rev-parse', 'main')).toBe(head);
});
