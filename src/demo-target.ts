import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { DemoOptions, DemoTarget } from './cli/house.ts';
import { findDocker } from './container/docker/engine.ts';
import { demoCluster } from './demo-cluster.ts';
import { DemoError } from './demo-stage.ts';
import { membership } from './deploy/swarm/api.ts';

export interface Place {
  readonly target: DemoTarget;
  /** Whether an engine runs what is not written into manifests. */
  readonly withDocker: boolean;
  /** From which the environment demo has its images; null for the registry of the demo itself. */
  readonly registry: string | null;
  /** What whoever watches is told of it. */
  readonly says: string;
}

/** @throws DemoError `demo.no-engine`, `demo.no-swarm`, `demo.no-cluster`, `demo.no-registry` */
export async function placeFor(options: Pick<DemoOptions, 'target' | 'registry'>): Promise<Place> {
  const { target: asked } = options;
  const engine = await findDocker();
  const target = asked ?? (engine === null ? 'process' : 'docker');
  const withDocker = engine !== null && target !== 'process';
  const local = withDocker ? 'services run in containers' : 'services run as processes of this machine';
  const own = { target, withDocker, registry: null };
  switch (target) {
    case 'process':
      return { ...own, says: engine === null ? NO_ENGINE : `As asked, ${local}, from their unpacked images.` };
    case 'gitops':
      return {
        ...own,
        says: `The environment demo is written into a repository of manifests; elsewhere ${local}.`,
      };
    case 'kubernetes': {
      const { server, registry } = await demoCluster(options.registry);
      return {
        ...own,
        registry,
        says: `The environment demo runs in the Kubernetes cluster at ${server}, in a namespace of its own that is removed at the end, from images that are copied to ${registry} and stay there; elsewhere ${local}.`,
      };
    }
    case 'docker':
    case 'compose':
    case 'swarm': {
      if (engine === null) throw noEngine(target);
      if (target === 'swarm' && !(await membership(engine)).isManager) throw noSwarm();
      return { ...own, says: `A Docker Engine answers: ${local}${HOW[target]}.` };
    }
    default:
      return target satisfies never;
  }
}

const NO_ENGINE =
  'No Docker Engine answers: services run as processes of this machine, from their unpacked images. The path is the same.';

const HOW = { docker: '', compose: ', as compose.yaml says', swarm: ', as services of the Swarm' } as const;

/**
 * Makes the shop of the examples deploy to the target, by its configuration.
 * @param shop the folder of its clone
 * @param manifests the bare repository of its manifests
 */
export async function pointAt(place: Place, shop: string, manifests: string): Promise<void> {
  const text = await readFile(join(shop, place.withDocker ? 'towpath.docker.yaml' : 'towpath.yaml'), 'utf8');
  await writeFile(join(shop, 'towpath.yaml'), configFor(place, text, manifests));
}

/** The environment demo: what comes before the driver, and what between it and what is asked of it when it runs. */
const DEMO = /(\n {2}demo:\n.*?\n) {4}deploy: \w+\n(.*?) {4}verify: \[smoke\]\n(?= {2}prod:)/s;

function configFor({ target, withDocker, registry }: Place, text: string, manifests: string): string {
  if (target === 'process' || target === 'docker') return text;
  if (target === 'compose') return text.replaceAll('deploy: docker', 'deploy: compose');
  // images that Towpath makes of Node hold nothing else that could ask
  if (target === 'swarm') return text.replaceAll('deploy: docker', 'deploy: { swarm: { probe: node } }');
  // whose addresses nobody here knows is asked nothing
  if (target === 'kubernetes') return text.replace(DEMO, `$1    deploy: kubernetes\n    registry: ${registry}\n$2`);
  // where nothing is seen to run there is nothing to configure, to watch or to ask
  return text.replace(DEMO, `$1${gitops(manifests, withDocker)}\n`);
}

function gitops(manifests: string, withDocker: boolean): string {
  const services = ['web', 'worker', ...(withDocker ? ['receipt'] : [])];
  const places = services.map((name) => `          ${name}: { file: kustomization.yaml, kustomize: shop/${name} }`);
  return `    deploy:
      gitops:
        repository: ${pathToFileURL(manifests).href}
        folder: demo
        services:
${places.join('\n')}`;
}

function noEngine(target: DemoTarget): DemoError {
  return new DemoError({
    code: 'demo.no-engine',
    what: `The target ${target} needs a Docker Engine, and none answers.`,
    fix: 'Start it, name it in DOCKER_HOST, or leave the target out: then services run as processes.',
  });
}

function noSwarm(): DemoError {
  return new DemoError({
    code: 'demo.no-swarm',
    what: 'The Docker Engine is no manager of a Swarm.',
    fix: '`docker swarm init` makes it one, on its own; `docker swarm leave --force` ends that.',
  });
}
