import {
  createContainer,
  inspectContainer,
  lastLines,
  listContainers,
  putFiles,
  removeContainer,
  startContainer,
  stopContainer,
} from '../../container/docker/containers.ts';
import { containerOutput, readFiles } from '../../container/docker/output.ts';
import type { DockerEngine } from '../../container/docker/engine.ts';
import { inspectImage, pullImage } from '../../container/docker/images.ts';
import { ensureNetwork, removeNetwork } from '../../container/docker/networks.ts';
import { findFreePort } from '../../container/docker/ports.ts';
import { hasCode } from '../../lib/error.ts';
import { DeployError } from '../deploy-error.ts';
import type { Target } from '../driver.ts';
import { type Runtime, type RuntimeJobs, targetKey } from '../rollout.ts';
import { dockerJobs, removeJobs } from './jobs.ts';
import { instanceOf, LABEL, labelsOf, secretNamesOf } from './labels.ts';
import { checkSecretNames, SECRETS_FOLDER } from './secrets.ts';
import { type ContainerWish, type MakeContainer, wishOf } from './wish.ts';

export interface DockerRuntimeParts {
  readonly engine: () => Promise<DockerEngine>;
  /** Tells apart the installations that share an engine: eight characters or so, valid in a container's name. */
  readonly installation: string;
  /** How a container is made, not started; by the engine alone where it is not given. */
  readonly make?: MakeContainer;
}

/** A port of this machine is found, then taken by the engine: in between somebody else may have it. */
const PORT_TRIES = 5;

/** Runs instances as containers, which the engine keeps running whether the server lives or not. */
export function dockerRuntime(parts: DockerRuntimeParts): Runtime & { readonly jobs: RuntimeJobs } {
  const nameOf = (id: string): string => `${id}-${parts.installation}`;
  const networkOf = (target: Target): string => placeName(target, parts.installation);
  const make = parts.make ?? makeByEngine;
  const owned = (target: Target): Record<string, string> => ({
    [LABEL.installation]: parts.installation,
    [LABEL.target]: targetKey(target),
  });
  return {
    async ensureImage(image, digest, context) {
      await pullImage(await parts.engine(), `${image}@${digest}`, context);
    },

    async start(instance, { log, signal }) {
      const engine = await parts.engine();
      const name = nameOf(instance.id);
      checkSecretNames(instance.secrets);
      if ((await inspectContainer(engine, name))?.running === true) return;
      const image = await pullImage(engine, `${instance.service.image}@${instance.service.digest}`, { log, signal });
      const network = networkOf(instance.target);
      await ensureNetwork(engine, network, owned(instance.target));
      for (let tries = 1; ; tries++) {
        await removeContainer(engine, name); // a dead one, or one that a killed server made and did not start
        signal.throwIfAborted();
        try {
          const onMachine = instance.service.port === undefined ? null : await findFreePort();
          const labels = labelsOf(instance, parts.installation);
          const wish = wishOf({ engine, name, instance, network, onMachine, labels, restarts: true }, image);
          const { hasSecretsFolder: isThere } = await make(wish, { log, signal });
          if (instance.secrets.size > 0) await putFiles(engine, name, SECRETS_FOLDER, instance.secrets, { isThere });
          await startContainer(engine, name);
          return;
        } catch (error) {
          await removeContainer(engine, name); // it may hold secrets already
          if (!hasCode(error, 'docker.port-taken') || tries === PORT_TRIES) throw error;
        }
      }
    },

    async list(target) {
      const engine = await parts.engine();
      const containers = await listContainers(engine, owned(target));
      const instances = await Promise.all(
        containers.map(async (container) => instanceOf(container, await inspectImage(engine, container.imageId))),
      );
      return instances.toSorted((one, other) => (one.id < other.id ? -1 : 1));
    },

    async stop(_target, id, graceMs) {
      await stopContainer(await parts.engine(), nameOf(id), graceMs);
    },

    async remove(_target, id) {
      await removeContainer(await parts.engine(), nameOf(id));
    },

    async tail(_target, id, lines) {
      return lastLines(await parts.engine(), nameOf(id), lines);
    },

    async *output(_target, id, wish) {
      const engine = await parts.engine();
      const container = await inspectContainer(engine, nameOf(id));
      if (container === null) return;
      const given = (await readFiles(engine, container.id, SECRETS_FOLDER)) ?? new Map<string, string>();
      const lost = secretNamesOf(container).filter((name) => !given.has(name));
      if (lost.length > 0) throw withheld(lost);
      const secrets = [...given.values()];
      for await (const block of containerOutput(engine, container.id, wish)) yield { ...block, secrets };
    },

    jobs: dockerJobs({ ...parts, make, nameOf, networkOf }),

    async clear(target) {
      const engine = await parts.engine();
      await removeJobs(engine, parts.installation, target);
      await removeNetwork(engine, networkOf(target));
    },
  };
}

async function makeByEngine({
  engine,
  name,
  instance,
  image,
  env,
  labels,
  network,
  restarts,
  port,
}: ContainerWish): ReturnType<MakeContainer> {
  const { command, limits } = instance.service;
  await createContainer(
    engine,
    { name, image, ...(command === undefined ? {} : { argv: command }), env, limits, labels },
    { network, restarts, ...(port === null ? {} : { port }) },
  );
  return { hasSecretsFolder: false };
}

/** What belongs to a target as a whole: its network, its compose project. */
export function placeName(target: Target, installation: string): string {
  return `towpath-${targetKey(target)}-${installation}`;
}

function withheld(names: readonly string[]): DeployError {
  return new DeployError({
    code: 'deploy.output-withheld',
    what: `What it printed is not shown: its secrets (${names.join(', ')}) are not in ${SECRETS_FOLDER} of its container any more, so they cannot be taken out.`,
    fix: `Let the program leave the files in ${SECRETS_FOLDER} where they are.`,
  });
}
