import type { DesiredService } from '../driver.ts';
import type { KubernetesConfig } from './config.ts';
import { literally } from './fill.ts';
import type { Manifest } from './manifest.ts';
import { objectName } from './names.ts';

const SERVICE_LABEL = 'app.kubernetes.io/name';
/** A pod that ends is still sent requests until every node knows that it does. */
const DRAIN_S = 5;
/** A worker has nothing to ask: it is well when it ran for so long. */
const WORKER_READY_S = 2;
/** Rights that no service of ours needs and that help an intruder. */
const DROPPED = ['AUDIT_WRITE', 'MKNOD', 'NET_RAW', 'SETFCAP'];

/** What a service of towpath.yaml is in Kubernetes where the repository has no manifests. The image comes in as every other's. */
export function generate(service: DesiredService, config: KubernetesConfig): Manifest[] {
  const name = objectName(service.service);
  const labels = { [SERVICE_LABEL]: name };
  const { port } = service;
  const deployment: Manifest = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels },
    spec: {
      replicas: service.replicas,
      revisionHistoryLimit: 2,
      progressDeadlineSeconds: Math.ceil(config.timeoutMs / 1000),
      minReadySeconds: port === undefined ? WORKER_READY_S : 0,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '25%' } },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: Math.ceil(config.graceMs / 1000) + (port === undefined ? 0 : DRAIN_S),
          containers: [containerOf(service, name)],
        },
      },
    },
  };
  if (port === undefined) return [deployment];
  const ports = [{ name: 'http', port, targetPort: 'http', protocol: 'TCP' }];
  return [
    deployment,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels },
      spec: { type: 'ClusterIP', selector: labels, ports },
    },
  ];
}

function containerOf({ image, digest, command, port, health, limits }: DesiredService, name: string) {
  const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));
  const check =
    health === undefined ? { tcpSocket: { port: 'http' } } : { httpGet: { path: health.path, port: 'http' } };
  const resources = {
    ...(limits.memoryMb === undefined ? {} : { memory: `${limits.memoryMb}Mi` }),
    ...(limits.cpus === undefined ? {} : { cpu: `${Math.round(limits.cpus * 1000)}m` }),
  };
  return {
    name,
    image: `${image}@${digest}`,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: DROPPED },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(command === undefined ? {} : { command: command.map(literally) }),
    ...(Object.keys(resources).length === 0 ? {} : { resources: { limits: resources } }),
    ...(port === undefined
      ? {}
      : {
          ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }],
          env: [{ name: 'PORT', value: String(port) }],
          lifecycle: { preStop: { sleep: { seconds: DRAIN_S } } },
          readinessProbe: {
            ...check,
            periodSeconds: seconds(health?.intervalMs ?? 1000),
            timeoutSeconds: seconds(health?.timeoutMs ?? 2000),
            failureThreshold: 3,
          },
        }),
  };
}
