import { copyInto, lastLines, listContainers, putFiles, removeContainer } from '../../container/docker/containers.ts';
import { pullImage } from '../../container/docker/images.ts';
import { ensureNetwork, joinNetwork } from '../../container/docker/networks.ts';
import { readFiles } from '../../container/docker/output.ts';
import { ensureVolume } from '../../container/docker/volumes.ts';
import { hasCode } from '../../lib/error.ts';
import { untilTrue } from '../../lib/until.ts';
import { redact } from '../../secret/redact.ts';
import { SECRETS_FOLDER } from '../docker/secrets.ts';
import type { ApplyContext } from '../driver.ts';
import { besideFailed } from './compose-error.ts';
import type { ComposeConfig } from './config.ts';
import type { GivenFiles } from './given-files.ts';
import { filterOf, LABEL, labelsOf, namesNetwork, networkName, type Place, projectOf, volumeName } from './place.ts';
import type { ComposeProgram } from './program.ts';
import { networkKeys, renderBeside, replicasOf } from './render.ts';
import type { Stack, StackService } from './stack.ts';
import { jobsIn, stateOf } from './state.ts';
import { literalYamlOf } from './write-yaml.ts';

export interface Beside {
  readonly place: Place;
  readonly compose: ComposeProgram;
  readonly config: ComposeConfig;
  readonly stack: Stack;
  /** What the compose file has and Towpath does not build. */
  readonly services: ReadonlyMap<string, StackService>;
  /** Of all services, those of the release too. */
  readonly files: GivenFiles;
  /** Service -> the secrets that it asks for, resolved a moment ago. */
  readonly secrets: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** How long they may take together until they are well; the timeout of the environment may end it earlier. */
const WELL_MS = 180_000;
const TAIL_LINES = 20;

/**
 * Sees to what runs beside the release: what is as the file has it stays, what changed is made anew on the same volumes, what does
 * not run or is unhealthy is started again. Resolves when all of it is well.
 * @returns service -> the engine's id of the image that it runs
 * @throws DeployError `compose.beside-failed`, `compose.failed`
 */
export async function runBeside(beside: Beside, context: ApplyContext): Promise<ReadonlyMap<string, string>> {
  const { place, config, stack, services } = beside;
  const { engine } = place;
  for (const [key, options] of stack.networks) {
    await ensureNetwork(engine, networkName(place, key), labelsOf(place, key), options);
  }
  for (const key of stack.volumes) {
    await ensureVolume(engine, volumeName(place, key), { ...labelsOf(place, key), [LABEL.end]: config.volumes });
  }
  const images = new Map<string, string>();
  if (services.size === 0) return images;
  for (const [name, { image }] of services) {
    if (!image.includes('@sha256:'))
      context.log(`${name}: ${image} has no digest; what this machine has of it is kept`);
    images.set(name, (await pullImage(engine, image, context)).id);
  }
  await mend(beside, images, context);
  await giveFiles(beside, context);
  try {
    await compose(beside, ['up', '--detach', '--no-build', '--pull', 'never'], context);
  } catch (error) {
    context.signal.throwIfAborted();
    await areWell(beside, context); // whoever is not well tells more than who waited for it
    throw error;
  }
  await awaitWell(beside, context);
  return images;
}

/** Lets what runs beside find the containers of an operation by their names. */
export async function introduce({ place, services }: Beside, operation: string): Promise<void> {
  for (const { id, running, labels } of await listContainers(place.engine, filterOf(place))) {
    const file = services.get(labels[LABEL.name] ?? '');
    if (!running || file === undefined) continue;
    for (const key of networkKeys(file)) {
      await joinNetwork(place.engine, namesNetwork(place, key, operation), id).catch((error: unknown) => {
        if (!hasCode(error, 'docker.refused') || !/not found/.test(String(error))) throw error; // none of the release is in it
      });
    }
  }
}

/**
 * What Docker Compose passes over: it knows a container again by labels, which whoever makes one with another image can copy, and
 * one that runs is well to it. Both are ended in the time that they are given; data stay.
 * @param images as `runBeside` returns them
 */
async function mend(beside: Beside, images: ReadonlyMap<string, string>, context: ApplyContext): Promise<void> {
  const containers = await listContainers(beside.place.engine, filterOf(beside.place));
  const ours = containers.flatMap((one) => {
    const name = one.labels[LABEL.name] ?? '';
    return images.has(name) ? [{ ...one, name }] : [];
  });
  const other = namesOf(ours.filter(({ name, imageId }) => imageId !== images.get(name)));
  if (other.length > 0) {
    await compose(beside, ['create', '--no-build', '--pull', 'never', '--force-recreate', '--', ...other], context);
  }
  const sick = namesOf(
    ours.filter(({ name, running, health }) => running && health === 'unhealthy' && !other.includes(name)),
  );
  if (sick.length > 0) {
    context.log(`${sick.join(', ')}: unhealthy, so it is started again`);
    await compose(beside, ['stop', '--', ...sick], context);
  }
}

function namesOf(containers: readonly { readonly name: string }[]): string[] {
  return [...new Set(containers.map(({ name }) => name))];
}

/**
 * Secrets and files are put in before the start, as those of the release are: so they are in no folder of the machine, argument or
 * variable. Those that have other secrets by now are made anew.
 */
async function giveFiles(beside: Beside, context: ApplyContext): Promise<void> {
  const { place, secrets, files, services } = beside;
  const { engine } = place;
  if (secrets.size === 0 && ![...services.keys()].some((name) => files.has(name))) return;
  for (const { id, labels } of await listContainers(engine, filterOf(place))) {
    const wanted = secrets.get(labels[LABEL.name] ?? '');
    if (wanted === undefined) continue;
    const has = (await readFiles(engine, id, SECRETS_FOLDER)) ?? new Map<string, string>();
    const isSame = [...wanted].every(([name, value]) => has.get(name) === value);
    if (!isSame) await removeContainer(engine, id);
  }
  await compose(beside, ['create', '--no-build', '--pull', 'never'], context);
  for (const { id, running, labels } of await listContainers(engine, filterOf(place))) {
    if (running) continue;
    const name = labels[LABEL.name] ?? '';
    const given = secrets.get(name);
    const isThere = services.get(name)?.read_only === true;
    if (given !== undefined) await putFiles(engine, id, SECRETS_FOLDER, given, { isThere });
    await copyInto(engine, id, files.get(name) ?? new Map());
  }
}

async function compose(beside: Beside, argv: readonly string[], { signal }: ApplyContext): Promise<void> {
  const { place, services, config } = beside;
  const project = projectOf(place);
  const { publish } = config;
  const rendered = renderBeside(place, services, { jobs: jobsIn(beside.stack), publish, files: beside.files });
  await beside.compose(['--project-name', project, '--project-directory', '.', '--file', '-', ...argv], {
    doing: `run what is beside the release (${[...services.keys()].join(', ')})`,
    input: literalYamlOf(rendered),
    timeoutMs: WELL_MS,
    signal,
  });
}

async function awaitWell(beside: Beside, context: ApplyContext): Promise<void> {
  let open: readonly string[] = [];
  const isWell = async (): Promise<boolean> => (open = await areWell(beside, context)).length === 0;
  if (await untilTrue(isWell, { everyMs: 150, timeoutMs: WELL_MS, signal: context.signal })) return;
  throw besideFailed(open[0] ?? '', `it was not well within ${WELL_MS / 1000} s`);
}

/** @returns those that may become well yet */
async function areWell({ place, services, stack, secrets }: Beside, { log }: ApplyContext): Promise<string[]> {
  const jobs = jobsIn(stack);
  const containers = await listContainers(place.engine, filterOf(place));
  const open: string[] = [];
  for (const [name, file] of services) {
    const ours = containers.filter(({ labels }) => labels[LABEL.name] === name);
    const states = ours.map((container) => stateOf(container, file, jobs.has(name)));
    const bad = states.findIndex((state) => state !== 'well' && state !== 'starting');
    if (bad !== -1) {
      const lines = await lastLines(place.engine, ours[bad]?.id ?? '', TAIL_LINES);
      const text = redact(lines.join('\n'), secrets.get(name)?.values() ?? []);
      for (const line of text.split('\n')) if (line !== '') log(`${name}: ${line}`);
      throw besideFailed(name, states[bad] ?? '');
    }
    if (ours.length < replicasOf(file) || states.includes('starting')) open.push(name);
  }
  return open;
}
