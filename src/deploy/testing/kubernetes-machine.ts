import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { findGoProgram } from '../../../tools/go-programs.js';
import { kubernetesConfig } from '../../../tools/test-machine/machine.ts';
import type { Kubernetes, KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { clusterAccess, connect } from '../../container/kubernetes/testing/cluster.ts';
import { systemClock } from '../../lib/clock.ts';
import { sha256 } from '../../lib/digest.ts';
import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import { testStore } from '../../store/testing.ts';
import { KubernetesConfig } from '../kubernetes/config.ts';
import { createKubernetesDriver } from '../kubernetes/kubernetes.ts';
import { namespaceOf } from '../kubernetes/names.ts';
import { createRenderer } from '../kubernetes/render.ts';
import { fileLedger } from '../ledger-store.ts';
import { sourceOf } from './source.ts';
import { CANARY, type DriverUnderTest } from './rollouts.ts';

let installations = 0;

export interface KubernetesUnderTest extends DriverUnderTest {
  readonly kubernetes: Kubernetes;
  readonly installation: string;
  /** What deployments from now on find in the repository. */
  files: Readonly<Record<string, string>>;
  /** What towpath.yaml says from now on. */
  settings: Readonly<Record<string, unknown>>;
}

/**
 * The kubernetes driver with the cluster of this test run. Its nodes only pretend to run containers: how an image behaves is
 * in its name, and nothing answers.
 */
export async function kubernetesUnderTest(): Promise<KubernetesUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-kubernetes-'));
  const installation = `test${process.pid}-k${(installations += 1)}`;
  const [store, config] = await Promise.all([testStore(), kubernetesConfig()]);
  const kubernetes = connect(await clusterAccess());
  const under: KubernetesUnderTest = {
    kubernetes,
    installation,
    files: {},
    settings: {},
    restart: () =>
      createKubernetesDriver({
        store,
        installation,
        clock: systemClock,
        environment: { TOWPATH_KUBECONFIG: config },
        ledger: fileLedger(join(directory, 'ledger')),
        secrets: secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]),
        renderer: createRenderer({
          kustomize: findGoProgram('kustomize').path ?? 'kustomize',
          helm: findGoProgram('helm').path ?? 'helm',
        }),
      }),
    settingsOf: () => Promise.resolve(KubernetesConfig.parse(under.settings)),
    sourceOf: () => sourceOf(under.files),
    image: (version, behaviour) =>
      Promise.resolve({ image: `registry.test/${behaviour}/web`, digest: sha256(`${version} ${behaviour}`) }),
    /** As `kubectl delete deployment` does. */
    harm: async (target, service) => {
      const namespace = namespaceOf(target, installation);
      await kubernetes.remove(`/apis/apps/v1/namespaces/${namespace}/deployments/${service}`);
    },
    traces: async (text) => (await openTexts(kubernetes, installation)).filter((one) => one.includes(text)),
    dispose: async () => {
      await kubernetes.close();
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return under;
}

const LOOKED_AT = ['pods', 'services', 'configmaps', 'events'].map((kind) => `/api/v1/${kind}`);

/** All that somebody who may not read Secrets sees, and what the driver remembers. */
async function openTexts(kubernetes: Kubernetes, installation: string): Promise<string[]> {
  const kinds = [
    '/api/v1/namespaces',
    ...LOOKED_AT,
    '/apis/apps/v1/deployments',
    '/apis/apps/v1/replicasets',
    '/apis/batch/v1/jobs',
  ];
  const open = (await Promise.all(kinds.map((path) => kubernetes.list(path)))).flatMap((objects) => objects ?? []);
  const secrets = await kubernetes.list('/api/v1/secrets', { labels: [`towpath.dev/installation=${installation}`] });
  return [...open.map((object) => JSON.stringify(object)), ...(secrets ?? []).map(openPart)];
}

function openPart({ metadata, data }: KubernetesObject): string {
  const { applied = '' } = (data ?? {}) as { applied?: string };
  const remembered = applied === '' ? '' : gunzipSync(Buffer.from(applied, 'base64')).toString('utf8');
  return JSON.stringify(metadata) + remembered;
}
