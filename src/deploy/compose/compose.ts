import { copyInto } from '../../container/docker/containers.ts';
import type { DockerEngine } from '../../container/docker/engine.ts';
import { ensureNetwork } from '../../container/docker/networks.ts';
import { probeContainer } from '../docker/probe.ts';
import { dockerRuntime } from '../docker/runtime.ts';
import { checkSecretNames } from '../docker/secrets.ts';
import type { MakeContainer } from '../docker/wish.ts';
import type { Action, ApplyContext, Desired, DeployDriver, Observed, Target } from '../driver.ts';
import { jobsOf } from '../local-jobs.ts';
import { createLocalDriver, LocalConfig, type LocalDriver, type LocalDriverParts } from '../local.ts';
import { planRollout, type RolloutAction, type Runtime } from '../rollout.ts';
import { type Beside, introduce, runBeside } from './beside.ts';
import { builds, secretMissing, unmapped, unpinned } from './compose-error.ts';
import { type ComposeConfig, composeStatement, nameIn } from './config.ts';
import { amissBeside, leftBy } from './left.ts';
import { LABEL, labelsOf, namesNetwork, type Place, projectOf, shortOf } from './place.ts';
import type { ComposeProgram } from './program.ts';
import { BUILT } from './read-files.ts';
import { networkKeys, renderInstance } from './render.ts';
import { readStack } from './resolve.ts';
import type { Stack } from './stack.ts';
import { endVolumes, removeBeside, tidy } from './tidy.ts';
import { literalYamlOf } from './write-yaml.ts';

export interface ComposeDriverParts extends Omit<LocalDriverParts, 'statement' | 'how' | 'runtime' | 'probe'> {
  readonly engine: () => Promise<DockerEngine>;
  /** Tells apart the installations that share an engine. */
  readonly installation: string;
  readonly compose: ComposeProgram;
}

/** The rollout of the local drivers; what the compose file has besides is seen to before, and cleared after. */
export type ComposeAction = RolloutAction | (Action & { readonly kind: 'beside' | 'tidy' });

const HOW = 'run by Docker Compose';

/**
 * Runs services as a compose file of the repository describes them, each environment as one compose project: those of the release
 * by digest, new ones beside old ones and behind the local proxy; the others as they stand in the file.
 */
export function createComposeDriver(parts: ComposeDriverParts): DeployDriver<ComposeConfig, ComposeAction> {
  const placeOf = async (target: Target): Promise<Place> => ({
    engine: await parts.engine(),
    target,
    installation: parts.installation,
  });
  const runtime = dockerRuntime({ engine: parts.engine, installation: parts.installation });
  const clear = async (target: Target): Promise<void> => {
    await removeBeside(await placeOf(target));
    await runtime.clear(target);
  };
  const local = localBy(parts, { ...runtime, clear });
  return {
    ...composeStatement,
    plan,
    apply: async (desired, actions, context) => {
      if (actions.length > 0) await apply(parts, await placeOf(desired.target), desired, actions, context);
    },
    jobs: {
      run: async (desired, job, context) => {
        await parts.ledger.claim(desired.target, context.token);
        const beside = await besideOf(parts, await placeOf(desired.target), desired, context);
        await seeTo(parts, beside, context); // a database, say
        return jobsOf(runtimeOf(parts, beside, desired).jobs, parts).run(desired, job, context);
      },
      forget: (desired, service) => jobsOf(runtime.jobs, parts).forget(desired, service),
    },
    observe: async (target) => {
      const left = await parts.ledger.left(target);
      const [observed, beside] = await Promise.all([
        local.observe(target),
        left === null ? {} : amissBeside(await placeOf(target), left),
      ]);
      return Object.keys(beside).length === 0 ? observed : { ...observed, beside };
    },
    destroy: async (target, context) => {
      await local.destroy(target, context);
      for (const name of await endVolumes(await placeOf(target))) {
        context.log(`the volume ${name} stays, with what lies in it`);
      }
    },
    handOver: async (target, context) => {
      await local.handOver(target, context);
      await parts.ledger.claim(target, context.token);
      await parts.ledger.leave(target, null);
      await removeBeside(await placeOf(target));
    },
    output: (target, question) => local.output(target, question),
  };
}

function plan(desired: Desired<ComposeConfig>, observed: Observed): ComposeAction[] {
  const actions = planRollout(desired, observed, HOW);
  const amiss = Object.entries(observed.beside ?? {}).flatMap(([name, what]) =>
    what === null ? [] : [`${name}: ${what}`],
  );
  if (actions.length === 0 && amiss.length === 0) return [];
  return [
    { kind: 'beside', summary: ['see to what the compose file has beside the release', ...amiss].join('; ') },
    ...actions,
    { kind: 'tidy', summary: 'remove what the compose file has no more' },
  ];
}

async function apply(
  parts: ComposeDriverParts,
  place: Place,
  desired: Desired<ComposeConfig>,
  actions: readonly ComposeAction[],
  context: ApplyContext,
): Promise<void> {
  const { target, operation } = desired;
  await parts.ledger.claim(target, context.token);
  const beside = await besideOf(parts, place, desired, context);
  const step = async (kind: 'beside' | 'tidy', work: () => Promise<void>): Promise<void> => {
    const action = actions.find((one) => one.kind === kind);
    if (action === undefined) return;
    context.signal.throwIfAborted();
    await parts.ledger.claim(target, context.token);
    context.log(action.summary);
    await work();
  };
  await step('beside', () => seeTo(parts, beside, context));
  const rollout = actions.flatMap((action) => (isOurs(action) ? [] : [action]));
  // else the switch does it: those that were made anew know nobody of the release
  if (!rollout.some(({ kind }) => kind === 'switch')) await introduce(beside, operation);
  await localBy(parts, runtimeOf(parts, beside, desired)).apply(desired, rollout, context);
  await step('tidy', () => tidy(place, beside.stack, beside.services, operation));
}

/** @throws DeployError `compose.*` */
async function seeTo({ ledger }: ComposeDriverParts, beside: Beside, context: ApplyContext): Promise<void> {
  const images = await runBeside(beside, context);
  await ledger.claim(beside.place.target, context.token);
  await ledger.leave(beside.place.target, await leftBy(beside, images));
}

function isOurs(action: ComposeAction): action is Exclude<ComposeAction, RolloutAction> {
  return action.kind === 'beside' || action.kind === 'tidy';
}

/** What of the file is not of the release, checked. @throws DeployError `compose.*`, SecretError */
async function besideOf(
  { secrets: all, compose }: ComposeDriverParts,
  place: Place,
  desired: Desired<ComposeConfig>,
  context: ApplyContext,
): Promise<Beside> {
  const { config, services: release } = desired;
  const { stack, files } = await readStack(compose, desired, projectOf(place), context);
  const names = new Map(release.map(({ service }) => [nameIn(config, service), service]));
  for (const [name, service] of names) if (!stack.services.has(name)) throw unmapped(service, name);
  const services = new Map([...stack.services].filter(([name]) => !names.has(name)));
  const references: Readonly<Record<string, string>> = Object.assign({}, ...release.map(({ secrets }) => secrets));
  for (const [name, file] of stack.services) {
    for (const { source } of file.secrets ?? []) {
      if (!Object.hasOwn(references, source)) throw secretMissing(name, source);
    }
  }
  const secrets = new Map<string, ReadonlyMap<string, string>>();
  for (const [name, file] of services) {
    if (file.image === BUILT) throw builds(name);
    if (config.unpinned === 'refuse' && !file.image.includes('@sha256:')) throw unpinned(name, file.image);
    const asked = (file.secrets ?? []).map(({ source }) => source);
    if (asked.length === 0) continue;
    const values = await Promise.all(asked.map((source) => all.resolve(references[source] ?? '')));
    const given = new Map(asked.map((source, index) => [source, values[index] ?? '']));
    checkSecretNames(given);
    secrets.set(name, given);
  }
  return { place, compose, config, stack, files, services, secrets };
}

/** Containers of the release are made by Docker Compose from the file, and looked after as those of the docker driver are. */
function runtimeOf(
  parts: ComposeDriverParts,
  beside: Beside,
  desired: Desired<ComposeConfig>,
): ReturnType<typeof dockerRuntime> {
  const { place, stack } = beside;
  const make: MakeContainer = async (wish, { signal }) => {
    const { service, operation } = wish.instance;
    const name = nameIn(desired.config, service.service);
    for (const key of keysOf(stack, name)) {
      const labels = { ...labelsOf(place, key), [LABEL.operation]: shortOf(operation) };
      await ensureNetwork(place.engine, namesNetwork(place, key, operation), labels, { internal: true });
    }
    const rendered = literalYamlOf(renderInstance(place, stack, name, wish));
    const project = ['--project-name', projectOf(place), '--project-directory', '.', '--file', '-'] as const;
    await parts.compose([...project, 'create', '--no-build', '--pull', 'never', '--no-recreate'], {
      doing: `make a container of "${name}"`,
      input: rendered,
      signal,
    });
    await copyInto(place.engine, wish.name, beside.files.get(name) ?? new Map());
    return { hasSecretsFolder: stack.services.get(name)?.read_only === true };
  };
  return {
    ...dockerRuntime({ engine: parts.engine, installation: parts.installation, make }),
    introduce: () => introduce(beside, desired.operation),
  };
}

function localBy(parts: ComposeDriverParts, runtime: Runtime): LocalDriver {
  const { cutover, ledger, secrets, clock } = parts;
  return createLocalDriver({
    statement: { ...composeStatement, config: LocalConfig },
    how: HOW,
    runtime,
    cutover,
    ledger,
    secrets,
    clock,
    probe: probeContainer,
  });
}

function keysOf(stack: Stack, name: string): string[] {
  const file = stack.services.get(name);
  return file === undefined ? [] : networkKeys(file);
}
