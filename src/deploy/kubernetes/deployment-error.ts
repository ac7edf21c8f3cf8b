import { DeployError } from '../deploy-error.ts';

export function noSource(): DeployError {
  return new DeployError({
    code: 'kubernetes.no-source',
    what: 'The kubernetes driver was not given the repository of the release.',
    fix: 'Deploy by a promotion: manifests are read at the commit of the release.',
  });
}

export function noFile(path: string): DeployError {
  return new DeployError({
    code: 'kubernetes.file-missing',
    what: `The repository has no YAML at ${JSON.stringify(path)} at the commit of the release.`,
    fix: 'Commit it, or correct `deploy: { kubernetes: ... }` in towpath.yaml. A link is no file.',
  });
}

export function notManifest(file: string, why: string): DeployError {
  return new DeployError({
    code: 'kubernetes.not-manifest',
    what: `${file} is no manifest: ${why}.`,
    fix: 'Correct it in the repository; `kubectl apply --dry-run=client -f FILE` reads the same.',
  });
}

/** @param where such as `ClusterRole/admin` */
export function outside(where: string, why: string): DeployError {
  return new DeployError({
    code: 'kubernetes.outside',
    what: `The manifests have ${where}, ${why}: it reaches out of the environment.`,
    fix: 'Take it out: what belongs to the cluster is brought there by whoever runs the cluster.',
  });
}

export function unmapped(service: string, images: readonly string[]): DeployError {
  const there = images.length === 0 ? 'They have no image at all' : `They have ${images.slice(0, 10).join(', ')}`;
  return new DeployError({
    code: 'kubernetes.unmapped',
    what: `No image of the manifests is that of ${JSON.stringify(service)}. ${there}.`,
    fix: 'Say by `images: { SERVICE: NAME }`, below `deploy: { kubernetes: ... }` in towpath.yaml, how they call it.',
  });
}

export function ambiguous(image: string, services: readonly string[]): DeployError {
  return new DeployError({
    code: 'kubernetes.ambiguous',
    what: `The image ${image} of the manifests could be that of ${services.map((name) => JSON.stringify(name)).join(' and ')}.`,
    fix: 'Say by `images`, below `deploy: { kubernetes: ... }` in towpath.yaml, whose it is.',
  });
}

export function registryOutOfReach(image: string): DeployError {
  return new DeployError({
    code: 'kubernetes.registry-out-of-reach',
    what: `No node of a cluster can fetch ${image}: its address is that of this machine alone.`,
    fix: 'Let TOWPATH_REGISTRY name a registry that all nodes reach.',
  });
}

export function unpinned(where: string, image: string): DeployError {
  return new DeployError({
    code: 'kubernetes.unpinned',
    what: `The image of ${where} (${image}) has no digest, so what runs tomorrow may be something else.`,
    fix: 'Write it as `name:tag@sha256:...`, or take `unpinned: refuse` from the environment in towpath.yaml.',
  });
}

export function badJob(name: string, why: string): DeployError {
  return new DeployError({
    code: 'kubernetes.job',
    what: `Job/${name} of the manifests ${why}.`,
    fix: 'Give it the annotation `towpath.dev/when: before`: it runs to its end, once per deployment, before anything else moves.',
  });
}

export function jobFailed(name: string, why: readonly string[]): DeployError {
  return new DeployError({
    code: 'kubernetes.job-failed',
    what: `Job/${name}, which comes before the rollout, failed: ${why.join('; ') || 'it gave no reason'}.`,
    fix: 'Read its log. Nothing else was changed; what ran before still serves.',
  });
}

/** @param why one clause */
export function jobStuck(code: string, name: string, why: string): DeployError {
  return new DeployError({
    code,
    what: `Job/${name}, which comes before the release, cannot be started: ${why}.`,
    fix: 'Read its log, and `kubectl get events` of its namespace. Nothing was switched; what ran before still serves.',
  });
}

export function notOurs(where: string, namespace: string): DeployError {
  return new DeployError({
    code: 'kubernetes.not-ours',
    what: `${where} in the namespace ${namespace} is not of this environment: somebody else made it.`,
    fix: 'Give each environment a namespace of its own, or remove what is there. To hand an object over label it as `kubectl get -o yaml` shows it on another of the environment.',
  });
}

export function noNamespace(namespace: string): DeployError {
  return new DeployError({
    code: 'kubernetes.no-namespace',
    what: `The namespace ${namespace} is not there, or is just being removed.`,
    fix: 'Make it (`kubectl create namespace`), or leave `namespace` out: then each environment gets its own.',
  });
}

export function otherPlace(where: string): DeployError {
  return new DeployError({
    code: 'kubernetes.other-place',
    what: `The environment still runs in ${where}, which is not where towpath.yaml wants it now.`,
    fix: 'Stop the environment first (`towpath env stop`), or take the change of `namespace`, `context` or `kubeconfig` back.',
  });
}

export function tooMuch(bytes: number): DeployError {
  return new DeployError({
    code: 'kubernetes.too-much',
    what: `The manifests of this environment take ${Math.ceil(bytes / 1024)} kB; Towpath keeps up to 900, compressed, to put them back.`,
    fix: 'Take large data out of them (ConfigMaps with files), or split the environment.',
  });
}

export function badRecord(namespace: string, name: string): DeployError {
  return new DeployError({
    code: 'kubernetes.record',
    what: `What Towpath remembers of the environment, in Secret/${name} of the namespace ${namespace}, cannot be read: somebody has changed it.`,
    fix: `Bring it back from a backup. Or delete it and deploy again: what was applied before and is no part of the release any more then stays until you remove it.`,
  });
}

export function contended(what: string): DeployError {
  return new DeployError({
    code: 'kubernetes.contended',
    what: `${what} was changed by somebody else again and again while it was to be changed.`,
    fix: 'Look who else writes there (another Towpath, an operator, a script), and deploy again.',
  });
}

/** @param why what its pods and conditions said, one clause each */
export function failed(code: string, where: string, why: readonly string[]): DeployError {
  return new DeployError({
    code,
    what: `The new ${where} did not come to run: ${why.join('; ') || 'the cluster gave no reason'}.`,
    fix: 'Read its log, and `kubectl describe` of its pods. What ran before was put back, and still serves.',
  });
}

export function programFailed(program: string, why: string): DeployError {
  return new DeployError({
    code: 'kubernetes.render',
    what: `\`${program}\` could not make the manifests: ${why}.`,
    fix: 'Run it by hand in the repository and correct what it says.',
  });
}

export function noProgram(program: string): DeployError {
  return new DeployError({
    code: 'kubernetes.no-program',
    what: `The program "${program}" is not on the machine of the server.`,
    fix: `Install it there, or use \`manifests\` with plain YAML.`,
  });
}
