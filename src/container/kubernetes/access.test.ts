import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { machineAccess } from './access.ts';
import { GIVEN, givenKubeconfig, kubeconfigOf } from './kubeconfig.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'towpath-kubeconfig-'));
  await mkdir(join(home, '.kube'));
  await mkdir(join(home, 'account'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const written = (cluster: string, user: string) => `
apiVersion: v1
kind: Config
current-context: qa
clusters:
  - { name: eks, cluster: ${cluster} }
users:
  - { name: deployer, user: ${user} }
contexts:
  - { name: qa, context: { cluster: eks, user: deployer } }
  - { name: prod, context: { cluster: eks, user: deployer, namespace: shop } }
`;
const SERVER = 'https://eks.example:6443/';
const given = (cluster: string, user: string, context?: string) =>
  kubeconfigOf([givenKubeconfig(written(cluster, user))], context, GIVEN);

test('a context names a cluster, a user and perhaps a namespace', async () => {
  const cluster = `{ server: "${SERVER}", certificate-authority-data: ${Buffer.from('CA').toString('base64')}, tls-server-name: api }`;
  expect(await given(cluster, '{ token: t }')).toEqual({
    server: 'https://eks.example:6443',
    namespace: null,
    tls: { ca: 'CA', servername: 'api' },
    credential: { kind: 'token', token: 't' },
  });
  expect((await given(cluster, '{ token: t }', 'prod')).namespace).toBe('shop');
  await expect(given(cluster, '{}', 'dev')).rejects.toMatchObject({ code: 'kubernetes.config' });
});

test('files are found beside their kubeconfig, of several the first that has a name counts', async () => {
  await writeFile(join(home, '.kube', 'ca.pem'), 'CA');
  await writeFile(
    join(home, '.kube', 'config'),
    written(`{ server: "${SERVER}", certificate-authority: ca.pem }`, '{}'),
  );
  const other = join(home, 'other');
  const user =
    '{ exec: { apiVersion: client.authentication.k8s.io/v1beta1, command: ./bin/token, args: [a], env: [{ name: A, value: b }] } }';
  await writeFile(other, written('{ server: "https://other.example" }', user));
  const config = join(home, '.kube', 'config');
  const environment = { HOME: home };
  expect(await machineAccess({ environment })).toMatchObject({ tls: { ca: 'CA' }, credential: { kind: 'none' } });
  expect(await machineAccess({ environment: { ...environment, KUBECONFIG: `${other}:${config}` } })).toMatchObject({
    server: 'https://other.example',
    credential: { kind: 'program', program: { command: join(home, 'bin/token'), args: ['a'], env: { A: 'b' } } },
  });
  const named = { ...environment, TOWPATH_KUBECONFIG: config, KUBECONFIG: other };
  expect((await machineAccess({ environment: named })).server).toBe('https://eks.example:6443');
});

test('in a cluster a pod is who its service account is, with a token that is read at each use', async () => {
  const account = join(home, 'account');
  const environment = { HOME: '/nowhere', KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  await expect(machineAccess({ environment, account })).rejects.toMatchObject({ code: 'kubernetes.config' });
  await writeFile(join(account, 'ca.crt'), 'CA');
  await writeFile(join(account, 'namespace'), 'shop\n');
  expect(await machineAccess({ environment, account })).toEqual({
    server: 'https://[fd00::1]:443',
    namespace: 'shop',
    tls: { ca: 'CA' },
    credential: { kind: 'token-file', path: join(account, 'token') },
  });
});

test('where nothing says which cluster is meant, that is told', async () => {
  await expect(machineAccess({ environment: { HOME: '/nowhere' } })).rejects.toMatchObject({
    code: 'kubernetes.no-config',
  });
  await expect(machineAccess({ environment: { KUBECONFIG: '/nowhere/config' } })).rejects.toMatchObject({
    code: 'kubernetes.no-file',
  });
});

test.each([
  ['a program', `{ server: "${SERVER}" }`, '{ exec: { apiVersion: client.authentication.k8s.io/v1, command: sh } }'],
  ['a file with a token', `{ server: "${SERVER}" }`, '{ tokenFile: /etc/passwd }'],
  ['a file with an authority', `{ server: "${SERVER}", certificate-authority: /etc/passwd }`, '{}'],
  ['a file with a key', `{ server: "${SERVER}" }`, '{ client-key: /etc/passwd }'],
])('one that was given as a secret may not name %s of this machine', async (_what, cluster, user) => {
  await expect(given(cluster, user)).rejects.toMatchObject({ code: 'kubernetes.config' });
});

test.each([
  ['trusts anybody', `{ server: "${SERVER}", insecure-skip-tls-verify: true }`, '{}'],
  ['sends its token in the open', '{ server: "http://eks.example" }', '{ token: t }'],
  ['has a password in its address', '{ server: "https://a:b@eks.example" }', '{}'],
  ['has a password', `{ server: "${SERVER}" }`, '{ username: a, password: hunter2 }'],
  ['is not what it should be', '{ server: 7 }', '{ token: hunter2 }'],
  ['is not YAML', '{ server: ', '{ token: hunter2 }'],
])('one that %s is refused, and nothing of it is told', async (_what, cluster, user) => {
  await expect(async () => given(cluster, user)).rejects.toMatchObject({
    code: 'kubernetes.config',
    what: expect.not.stringContaining('hunter2') as string,
  });
});
