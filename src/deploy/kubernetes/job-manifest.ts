import { sha256Hex } from '../../lib/digest.ts';
import type { Desired, Job } from '../driver.ts';
import { unmapped } from './deployment-error.ts';
import { literally } from './fill.ts';
import { servicesIn } from './look.ts';
import { type Container, type Manifest, type PodTemplate, templateOf } from './manifest.ts';
import { NOTE, objectName, type Place, placeLabels, placeNotes } from './names.ts';

/** What of a service's container belongs to a program that stays. */
const OF_ONE_THAT_STAYS = ['args', 'ports', 'lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'];
/** The server ends what takes too long, and has its last words by then; the cluster ends what no server looks at. */
const CLUSTER_LATER_S = 10;

/** Under which a job is found again: one by operation and service. */
export function jobName({ operation }: Pick<Desired, 'operation'>, service: string): string {
  return `${objectName(service).slice(0, 40)}-job-${sha256Hex(JSON.stringify([operation, service])).slice(0, 16)}`;
}

/**
 * A Job that runs a program of a service once: in the pod that the service runs in (its account, its volumes, what begins before it),
 * without its probes and the programs beside it, and without the labels by which requests are sent to it. It waits to be started.
 * @param manifests of the same operation, filled in
 */
export function jobManifest(
  manifests: readonly Manifest[],
  { place, desired, job }: { readonly place: Place; readonly desired: Desired; readonly job: Job },
): Manifest {
  const { template, container } = placeOf(manifests, job.service);
  const program: Container = {
    ...Object.fromEntries(Object.entries(container).filter(([key]) => !OF_ONE_THAT_STAYS.includes(key))),
    name: container.name,
    command: job.argv.map(literally),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
  const labels = placeLabels(place);
  const annotations = {
    ...placeNotes(place),
    [NOTE.operation]: desired.operation,
    [NOTE.services]: JSON.stringify({ [container.name]: job.service }),
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: jobName(desired, job.service), namespace: place.namespace, labels, annotations },
    spec: {
      suspend: true,
      backoffLimit: 0,
      podReplacementPolicy: 'Failed',
      activeDeadlineSeconds: Math.ceil(job.timeoutMs / 1000) + CLUSTER_LATER_S,
      template: {
        metadata: { labels, annotations },
        spec: { ...template.spec, restartPolicy: 'Never', containers: [program] },
      },
    },
  };
}

export function started(job: Manifest): Manifest {
  return { ...job, spec: { ...(job['spec'] as object), suspend: false } };
}

/** Where a service runs: of several places the first. */
function placeOf(manifests: readonly Manifest[], service: string): { template: PodTemplate; container: Container } {
  for (const manifest of manifests) {
    const template = templateOf(manifest);
    const services = servicesIn(template?.metadata?.annotations?.[NOTE.services]);
    const container = template?.spec.containers.find(({ name }) => services[name] === service);
    if (template !== null && container !== undefined) return { template, container };
  }
  throw unmapped(service, []);
}
