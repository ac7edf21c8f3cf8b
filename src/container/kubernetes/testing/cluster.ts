import { randomBytes } from 'node:crypto';

import { kubernetesMissing } from '../../../../tools/test-machine/kubernetes.js';
import { kubernetesConfig } from '../../../../tools/test-machine/machine.ts';
import { systemClock } from '../../../lib/clock.ts';
import { type ClusterAccess, machineAccess } from '../access.ts';
import { connectKubernetes, type Kubernetes } from '../kubernetes.ts';

/** What this machine lacks for tests with a cluster, said aloud; null when they can run. */
export function saidMissing(): string | null {
  const missing = kubernetesMissing();
  if (missing !== null) process.stderr.write(`${missing}\n`);
  return missing;
}

/** The cluster of this test run, as somebody who may do everything. */
export async function clusterAccess(): Promise<ClusterAccess> {
  return machineAccess({ environment: { TOWPATH_KUBECONFIG: await kubernetesConfig() } });
}

export function connect(access: ClusterAccess): Kubernetes {
  return connectKubernetes(access, { environment: {}, clock: systemClock });
}

/** A namespace that is nobody else's. */
export async function newNamespace(kubernetes: Kubernetes): Promise<string> {
  const name = `test-${randomBytes(5).toString('hex')}`;
  await kubernetes.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
}
