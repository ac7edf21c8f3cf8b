// The two parts of Argo CD that deploy: its repo-server renders what a repository holds, its application-controller brings that into
// the test cluster. What people see of it (argocd-server) is not there: applications are objects of the cluster.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { parse } from 'yaml';

import { findGoProgram } from '../go-programs.js';
import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';
import { freePort } from './free-port.js';
import { askerOf } from './kubernetes.js';

const NAMESPACE = 'argocd';

/** @returns what this machine lacks for it, besides a cluster; or null */
export function argocdMissing() {
  if (programPath('redis-server') === null) return 'Argo CD is left out: there is no redis-server on this machine.';
  return findGoProgram('kubernetes').missing ?? null; // which has these two parts too
}

/** @param kubeconfig of the cluster, with all rights */
export async function startArgocd(directory, kubeconfig) {
  const missing = argocdMissing();
  if (missing !== null) throw new Error(missing);
  const { path: program } = findGoProgram('kubernetes');
  const at = (name) => join(directory, name);
  for (const name of ['home', 'tmp', 'plugins', 'bin']) await mkdir(at(name), { recursive: true, mode: 0o700 });
  await install(dirname(program), askerOf(JSON.parse(await readFile(kubeconfig, 'utf8'))));

  const [redis, repo, repoMetrics, metrics] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const password = randomBytes(12).toString('hex');
  const { path: kustomize } = findGoProgram('kustomize');
  if (kustomize !== undefined) await symlink(kustomize, at('bin/kustomize'));
  const env = (name) => ({
    PATH: `${at('bin')}:${process.env.PATH}`,
    HOME: at('home'),
    TMPDIR: at('tmp'),
    KUBECONFIG: kubeconfig,
    REDIS_PASSWORD: password,
    ARGOCD_BINARY_NAME: name,
    ARGOCD_FAKE_IN_CLUSTER: 'true',
    ARGOCD_GPG_ENABLED: 'false',
    ARGOCD_TLS_DATA_PATH: at('tls'),
    ARGOCD_SSH_DATA_PATH: at('ssh'),
    ARGOCD_PLUGINSOCKFILEPATH: at('plugins'),
  });
  const stops = [];
  const stop = async () => {
    for (const each of stops.toReversed()) await each().catch(() => undefined);
  };
  const part = async (name, argv, port) => {
    const isReady = async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
    const common = ['--loglevel', 'warn', '--redis', `127.0.0.1:${redis}`, '--metrics-port', String(port)];
    const options = { env: env(name), cwd: directory };
    stops.push(
      (await startDaemon({ program, argv: [name, ...argv, ...common], log: at(`${name}.log`), isReady, options })).stop,
    );
  };
  try {
    stops.push((await startRedis(directory, redis, password)).stop);
    await Promise.all([
      part(
        'argocd-repo-server',
        ['--address=127.0.0.1', `--port=${repo}`, '--metrics-address=127.0.0.1', '--disable-tls'],
        repoMetrics,
      ),
      // the metrics of this one listen everywhere: it has no word for an address
      part(
        'argocd-application-controller',
        [
          `--kubeconfig=${kubeconfig}`,
          `--namespace=${NAMESPACE}`,
          `--repo-server=127.0.0.1:${repo}`,
          '--repo-server-plaintext',
          '--app-resync=3600', // so that it looks when it is asked to, or not at all
          '--app-resync-jitter=0',
        ],
        metrics,
      ),
    ]);
    return { address: kubeconfig, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startRedis(directory, port, password) {
  const argv = ['--bind', '127.0.0.1', '--port', String(port), '--requirepass', password];
  return startDaemon({
    program: programPath('redis-server'),
    argv: [...argv, '--save', '', '--appendonly', 'no', '--dir', directory, '--loglevel', 'warning'],
    log: join(directory, 'redis.log'),
    isReady: async () => true,
  });
}

/** What its own manifests would bring into the cluster, as far as these two parts read it. */
async function install(programs, ask) {
  const make = async (path, object) => {
    const { status, body } = await ask('POST', path, object);
    if (status !== 201 && status !== 409) throw new Error(`${path} was answered with ${status}: ${body}`);
  };
  const folder = join(programs, 'argocd-crds');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('-crd.yaml')))
    await make(
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      parse(await readFile(join(folder, file), 'utf8')),
    );
  await make('/api/v1/namespaces', { metadata: { name: NAMESPACE } });
  const labels = { 'app.kubernetes.io/part-of': 'argocd' };
  const within = `/api/v1/namespaces/${NAMESPACE}`;
  for (const name of ['argocd-cm', 'argocd-rbac-cm', 'argocd-tls-certs-cm', 'argocd-ssh-known-hosts-cm'])
    await make(`${within}/configmaps`, { metadata: { name, labels }, data: {} });
  await make(`${within}/secrets`, {
    metadata: { name: 'argocd-secret', labels },
    stringData: { 'server.secretkey': randomBytes(32).toString('base64') },
  });
  const projects = `/apis/argoproj.io/v1alpha1/namespaces/${NAMESPACE}/appprojects`;
  for (const giveUpAt = Date.now() + 20_000; (await ask('GET', projects)).status !== 200;)
    if (Date.now() > giveUpAt) throw new Error('The cluster does not take the kinds of Argo CD.');
  await make(projects, {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'AppProject',
    metadata: { name: 'default' },
    spec: {
      sourceRepos: ['*'],
      destinations: [{ server: '*', namespace: '*' }],
      clusterResourceWhitelist: [{ group: '*', kind: '*' }],
    },
  });
}
