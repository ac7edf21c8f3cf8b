import type { LogLine } from '../../lib/log.ts';
import { SECRETS_FOLDER } from '../docker/secrets.ts';
import type { Desired, DesiredService } from '../driver.ts';
import type { KubernetesConfig } from './config.ts';
import { ambiguous, badJob, outside, unmapped, unpinned } from './deployment-error.ts';
import {
  type Container,
  type Manifest,
  nameOf,
  type PodTemplate,
  refOf,
  templateOf,
  withTemplate,
} from './manifest.ts';
import { LABEL, NOTE, type Place, placeLabels, placeNotes, shortOf } from './names.ts';

export interface FillParts {
  readonly place: Place;
  readonly desired: Desired<KubernetesConfig>;
  /** Service -> the Secret object that holds its secrets; none for a service without. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly log: LogLine;
}

const VOLUME = 'towpath-secrets';

/**
 * Makes manifests those of one operation: images of the release by digest, its settings and secrets, and what tells whose they are.
 * @throws DeployError `kubernetes.unmapped`, `kubernetes.ambiguous`, `kubernetes.unpinned`, `kubernetes.outside`, `kubernetes.job`
 */
export function fill(manifests: readonly Manifest[], parts: FillParts): Manifest[] {
  const found = new Set<string>();
  const filled = manifests.map((manifest) => fillOne(manifest, parts, found));
  for (const { service } of parts.desired.services) {
    if (!found.has(service)) throw unmapped(service, [...new Set(manifests.flatMap(imagesOf))]);
  }
  return filled;
}

function fillOne(manifest: Manifest, parts: FillParts, found: Set<string>): Manifest {
  const { place, desired } = parts;
  const where = nameOf(refOf(manifest));
  const { namespace = place.namespace } = manifest.metadata;
  if (namespace !== place.namespace) throw outside(where, `of the namespace ${namespace}`);
  if (manifest.kind === 'Pod') throw outside(where, 'a bare Pod, which nothing replaces');
  const stamped: Manifest = {
    ...manifest,
    metadata: {
      ...manifest.metadata,
      name: manifest.kind === 'Job' ? jobName(manifest, desired.operation) : manifest.metadata.name,
      namespace: place.namespace,
      labels: { ...manifest.metadata.labels, ...placeLabels(place) },
      annotations: { ...manifest.metadata.annotations, ...placeNotes(place), [NOTE.operation]: desired.operation },
    },
  };
  const template = templateOf(manifest);
  return template === null ? stamped : withTemplate(stamped, fillTemplate(template, parts, where, found));
}

/** A Job cannot be changed, so each operation has its own. */
function jobName({ metadata: { name, annotations } }: Manifest, operation: string): string {
  if (annotations?.[NOTE.when] !== 'before') throw badJob(name, 'does not say when it runs');
  return `${name.slice(0, 46)}-${shortOf(operation)}`;
}

function fillTemplate(template: PodTemplate, parts: FillParts, where: string, found: Set<string>): PodTemplate {
  const { place, desired, secrets } = parts;
  const services = new Map<string, DesiredService>();
  const fillContainer = (container: Container): Container => {
    const service = serviceOf(container, desired);
    if (service === null) {
      requirePinned(container, parts, where);
      return container;
    }
    found.add(service.service);
    services.set(container.name, service);
    return given(container, service, secrets.has(service.service));
  };
  const { initContainers, containers, volumes, ...spec } = template.spec;
  const filled = {
    ...(initContainers ? { initContainers: initContainers.map(fillContainer) } : {}),
    containers: containers.map(fillContainer),
  };
  const names = new Set([...services.values()].flatMap(({ service }) => secrets.get(service) ?? []));
  const projected = [...names].map((name) => ({ secret: { name } }));
  const own = names.size === 0 ? [] : [{ name: VOLUME, projected: { defaultMode: 0o444, sources: projected } }];
  const isNew = [...services].map(([container, { service }]) => [container, service] as const);
  return {
    ...template,
    metadata: {
      ...template.metadata,
      labels: { ...template.metadata?.labels, ...placeLabels(place), [LABEL.operation]: shortOf(desired.operation) },
      annotations: {
        ...template.metadata?.annotations,
        [NOTE.operation]: desired.operation,
        [NOTE.services]: JSON.stringify(Object.fromEntries(isNew)),
      },
    },
    spec: { ...spec, ...filled, ...(volumes || own.length > 0 ? { volumes: [...(volumes ?? []), ...own] } : {}) },
  };
}

/** The environment's settings win over what the manifest says. */
function given(container: Container, { image, digest, env }: DesiredService, hasSecrets: boolean): Container {
  const settings = { ...env, ...(hasSecrets ? { TOWPATH_SECRETS: SECRETS_FOLDER } : {}) };
  const own = (container.env ?? []).filter(({ name }) => !Object.hasOwn(settings, name));
  const all = [...own, ...Object.entries(settings).map(([name, value]) => ({ name, value: literally(value) }))];
  const mount = { name: VOLUME, mountPath: SECRETS_FOLDER, readOnly: true };
  return {
    ...container,
    image: `${image}@${digest}`,
    ...(all.length === 0 ? {} : { env: all }),
    ...(hasSecrets ? { volumeMounts: [...(container.volumeMounts ?? []), mount] } : {}),
  };
}

/** Kubernetes puts variables in for `$(NAME)`, and one `$` for `$$`; what a setting or a command says is meant as it stands. */
export function literally(text: string): string {
  return text.replaceAll('$', () => '$$');
}

/** The service whose image a container runs; null for what is no part of the release. */
function serviceOf({ image = '' }: Container, { services, config }: Desired<KubernetesConfig>): DesiredService | null {
  const name = nameOfImage(image);
  const said = services.filter(({ service }) => namesOf(config, service).includes(name));
  const like = services.filter(
    ({ service, image: own }) =>
      namesOf(config, service).length === 0 && (name === own || name.split('/').at(-1) === service),
  );
  const exact = like.filter(({ image: own }) => name === own);
  const fitting = said.length > 0 ? said : exact.length === 1 ? exact : like;
  if (fitting.length > 1)
    throw ambiguous(
      image,
      fitting.map(({ service }) => service),
    );
  return fitting[0] ?? null;
}

function namesOf({ images }: KubernetesConfig, service: string): readonly string[] {
  return Object.hasOwn(images, service) ? (images[service] ?? []) : [];
}

/** Without tag and digest; the port of a host stays. */
function nameOfImage(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}

function imagesOf(manifest: Manifest): string[] {
  const spec = templateOf(manifest)?.spec;
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ image = '' }) => image);
}

function requirePinned({ name, image = '' }: Container, { desired, log }: FillParts, where: string): void {
  if (/@sha256:[0-9a-f]{64}$/.test(image)) return;
  if (desired.config.unpinned === 'refuse') throw unpinned(`"${name}" of ${where}`, image);
  log(`the image of "${name}" of ${where} (${image}) has no digest: what runs tomorrow may be something else`);
}
