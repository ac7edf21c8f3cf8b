import { machineAccess } from './container/kubernetes/access.ts';
import { connectKubernetes } from './container/kubernetes/kubernetes.ts';
import { DemoError } from './demo-stage.ts';
import { systemClock } from './lib/clock.ts';
import { problemOf } from './lib/error.ts';
import { parsePlace } from './registry/place.ts';

interface DemoCluster {
  /** The address of its API. */
  readonly server: string;
  /** From which its nodes fetch: `host[:port][/prefix]`. */
  readonly registry: string;
}

/**
 * The cluster that whoever runs the demo means: the one of the kubeconfig's current context.
 * @throws DemoError `demo.no-cluster`, `demo.no-registry`
 */
export async function demoCluster(registry: string | undefined): Promise<DemoCluster> {
  const server = await answeringServer().catch((error: unknown) => {
    throw noCluster(problemOf(error).what);
  });
  if (registry === undefined || parsePlace(registry) === null) throw noRegistry(registry);
  return { server, registry };
}

async function answeringServer(): Promise<string> {
  const { env: environment } = process;
  const kubernetes = connectKubernetes(await machineAccess({ environment }), { environment, clock: systemClock });
  try {
    await kubernetes.text('/version', {}, { doing: 'say its version' });
    return kubernetes.server;
  } finally {
    await kubernetes.close();
  }
}

function noCluster(why: string): DemoError {
  return new DemoError({
    code: 'demo.no-cluster',
    what: `The target kubernetes needs a cluster that answers. ${why}`,
    fix: 'Let KUBECONFIG name a kubeconfig, and `kubectl config use-context` choose a cluster where you may make namespaces.',
  });
}

function noRegistry(given: string | undefined): DemoError {
  return new DemoError({
    code: 'demo.no-registry',
    what:
      given === undefined
        ? 'The nodes of a cluster cannot fetch from the registry of the demo: it is on this machine alone.'
        : `"${given.slice(0, 200)}" is not the place of a registry.`,
    fix: 'Name one that this machine may push to and the nodes fetch from: `--registry HOST[:PORT][/PREFIX]`, such as localhost:32000 with MicroK8s.',
  });
}
