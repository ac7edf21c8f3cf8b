import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { DemoTarget } from './cli/house.ts';
import { findDocker } from './container/docker/engine.ts';
import { DemoError } from './demo-stage.ts';
import { membership } from './deploy/swarm/api.ts';

export interface Place {
  readonly target: DemoTarget;
  /** Whether an engine runs what is not written into manifests. */
  readonly withDocker: boolean;
  /** What whoever watches is told of it. */
  readonly says: string;
}

/** @throws DemoError `demo.no-engine`, `demo.no-swarm` */
export async function placeFor(asked: DemoTarget | undefined): Promise<Place> {
  const engine = await findDocker();
  const target = asked ?? (engine === null ? 'process' : 'docker');
  const withDocker = engine !== null && target !== 'process';
  const local = withDocker ? 'services run in containers' : 'services run as processes of this machine';
  switch (target) {
    case 'process':
      return {
        target,
        withDocker,
        says: engine === null ? NO_ENGINE : `As asked, ${local}, from their unpacked images.`,
      };
    case 'gitops':
      return {
        target,
        withDocker,
        says: `The environment demo is written into a repository of manifests; elsewhere ${local}.`,
      };
    case 'docker':
    case 'compose':
    case 'swarm': {
      if (engine === null) throw noEngine(target);
      if (target === 'swarm' && !(await membership(engine)).isManager) throw noSwarm();
      return { target, withDocker, says: `A Docker Engine answers: ${local}${HOW[target]}.` };
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

function configFor({ target, withDocker }: Place, text: string, manifests: string): string {
  if (target === 'process' || target === 'docker') return text;
  if (target === 'compose') return text.replaceAll('deploy: docker', 'deploy: compose');
  // images that Towpath makes of Node hold nothing else that could ask
  if (target === 'swarm') return text.replaceAll('deploy: docker', 'deploy: { swarm: { probe: node } }');
  // where nothing is seen to run there is nothing to configure, to watch or to ask
  return text.replace(
    /(\n {2}demo:\n.*?)\n {4}deploy: \w+\n.*?(?=\n {2}prod:)/s,
    `$1\n${gitops(manifests, withDocker)}`,
  );
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
