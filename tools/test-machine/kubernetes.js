// A Kubernetes of our own: etcd, the API server, its controllers, its scheduler and nodes whose kubelet is made up by kwok. What
// the API says and does is real; no container ever runs. All of it listens on loopback, and asks for a token.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findGoProgram } from '../go-programs.js';
import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

const KUBELET = fileURLToPath(new URL('../kubernetes/kubelet.yaml', import.meta.url));
const NODES = 3;

/** @returns what this machine lacks for a cluster, or null */
export function kubernetesMissing() {
  if (programPath('etcd') === null) return 'Kubernetes is left out: there is no etcd on this machine.';
  return findGoProgram('kubernetes').missing ?? null;
}

export async function startKubernetes(directory) {
  const missing = kubernetesMissing();
  if (missing !== null) throw new Error(missing);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const stops = [];
  const stop = async () => {
    for (const each of stops.toReversed()) await each().catch(() => undefined);
  };
  const daemon = async (name, program, argv, isReady) => {
    const log = join(directory, `${name}.log`);
    stops.push((await startDaemon({ program, argv, log, isReady, options: { env: environment(directory) } })).stop);
  };
  const { path: kubernetes } = findGoProgram('kubernetes');
  try {
    const store = await startEtcd(directory, daemon);
    const api = await startApi(directory, store, (...rest) => daemon('apiserver', kubernetes, ...rest));
    const asUser = ['--kubeconfig', api.config];
    const swift = ['--leader-elect=false', '--secure-port=0', '--kube-api-qps=500', '--kube-api-burst=1000'];
    const got = async (path) => (await api.ask('GET', path)).body;
    const begun = () => Promise.resolve(true);
    await addNodes(api);
    await Promise.all([
      daemon(
        'controller-manager',
        kubernetes,
        [
          'controller-manager',
          ...asUser,
          ...swift,
          '--controllers=*,-node-lifecycle-controller', // made-up nodes would be taken for lost
          `--service-account-private-key-file=${api.key}`,
          `--root-ca-file=${api.authority}`,
        ],
        async () => (await got('/api/v1/namespaces/default/serviceaccounts')).includes('"name":"default"'),
      ),
      daemon('scheduler', kubernetes, ['scheduler', ...asUser, ...swift], begun),
      daemon(
        'kwok',
        kubernetes,
        ['kwok', ...asUser, '--manage-all-nodes', '--node-lease-duration-seconds=40', '--config', KUBELET],
        async () => (await got(`/api/v1/nodes/node-${NODES}`)).includes('"phase":"Running"'),
      ),
    ]);
    return { address: api.config, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @returns where it listens */
async function startEtcd(directory, daemon) {
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const argv = [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync', // the data lives as long as the test run
    '--log-level=warn',
  ];
  await daemon('etcd', programPath('etcd'), argv, async () => (await fetch(`${client}/health`)).ok);
  return client;
}

async function startApi(directory, store, daemon) {
  const port = await freePort();
  const path = (name) => join(directory, name);
  const [key, publicKey, tokens, authority] = ['accounts.key', 'accounts.pub', 'tokens.csv', 'apiserver.crt'].map(path);
  const token = randomBytes(24).toString('hex');
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  await writeFile(key, pair.privateKey, { mode: 0o600 });
  await writeFile(publicKey, pair.publicKey);
  await writeFile(tokens, `${token},towpath-tests,towpath-tests,"system:masters"\n`, { mode: 0o600 });
  const written = async () => kubeconfigOf(port, await readFile(authority), token);
  const ask = async (...asked) => askerOf(await written())(...asked);
  await daemon(
    [
      'apiserver',
      `--etcd-servers=${store}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${directory}`, // it signs its own certificate, and leaves it here
      `--token-auth-file=${tokens}`,
      '--authorization-mode=RBAC',
      '--endpoint-reconciler-type=none', // nobody reaches it from inside
      '--disable-admission-plugins=TaintNodesByCondition', // whoever takes the taint away is not there
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${key}`,
      `--service-account-key-file=${publicKey}`,
    ],
    async () => (await ask('GET', '/readyz')).status === 200,
  );
  const config = path('kubeconfig');
  await writeFile(config, JSON.stringify(await written()), { mode: 0o600 }); // JSON is YAML
  return { key, authority, config, ask };
}

function kubeconfigOf(port, authority, token) {
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': authority.toString('base64'),
  };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  };
}

/** Nodes that are there by their names alone; kwok says of each that it is well. */
async function addNodes({ ask }) {
  for (let number = 1; number <= NODES; number++) {
    const metadata = { name: `node-${number}`, labels: { 'kubernetes.io/hostname': `node-${number}` } };
    const { status, body } = await ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
    if (status !== 201) throw new Error(`A node was answered with ${status}: ${body}`);
  }
}

/** Asks the API server of a kubeconfig of ours. */
export function askerOf({ clusters: [{ cluster }], users: [{ user }] }) {
  return (method, path, given) => {
    const ca = Buffer.from(cluster['certificate-authority-data'], 'base64');
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' };
      const outgoing = request(cluster.server + path, { method, ca, headers, timeout: 20_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode, body }));
        response.on('error', reject);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('The API server does not answer.')));
      outgoing.on('error', reject);
      outgoing.end(given === undefined ? undefined : JSON.stringify(given));
    });
  };
}

/** Nothing of the machine's own: neither a proxy nor somebody's kubeconfig. */
function environment(directory) {
  return { PATH: process.env.PATH, HOME: directory, GOGC: '200' };
}
