import { buildOrder } from '../artifact/build-order.ts';
import type { Builder } from '../artifact/builder.ts';
import { artifactKey, type KeyInputs } from '../artifact/key.ts';
import type { WantedArtifact } from '../artifact/artifact-store.ts';
import { pinBase, pinsOf } from '../artifact/pin-store.ts';
import type { ServiceDefinition } from '../artifact/service.ts';
import { pinnedParts, type PinsOf } from '../check/backing.ts';
import type { CheckDefinition } from '../check/check.ts';
import { kindOf } from '../check/checks.ts';
import { buildQuestionOf } from '../check/question.ts';
import { CONFIG_FILE } from '../config/config-file.ts';
import type { ProjectConfig } from '../config/config.ts';
import type { SourceTree } from '../git/tree.ts';
import type { Digest } from '../lib/digest.ts';
import { hasCode, problemOf, TowpathError } from '../lib/error.ts';
import { checksWithParts, pinParts } from './backing.ts';
import type { House } from './house.ts';

export interface PlannedArtifact extends WantedArtifact {
  readonly inputs: Readonly<Record<string, unknown>> & KeyInputs;
}

/**
 * What a commit's services are made of, as keys. Reads trees only, no file contents but those that name base images; an
 * outside image that has no pin yet, a base or a part beside a check, is resolved here, once.
 * @throws TowpathError `source.fork-base`, `source.fork-part` when strangers name one that has no pin
 */
export async function planArtifacts(
  house: House,
  projectId: string,
  repositoryId: string,
  commit: string,
  config: ProjectConfig,
  { isOfStrangers = false }: { readonly isOfStrangers?: boolean } = {},
): Promise<PlannedArtifact[]> {
  const planned = new Map<string, PlannedArtifact>();
  const { name: project } = await house.store.db
    .selectFrom('project')
    .select('name')
    .where('id', '=', projectId)
    .executeTakeFirstOrThrow();
  const read = await readSources(house, repositoryId, commit, config);
  const pins = await pinned(house, projectId, read, isOfStrangers);
  const parts = await pinParts(house, projectId, checksWithParts(config), { isOfStrangers });
  for (const { service, definition, source, whole, builder, references } of read) {
    const bases = definition.bases.flatMap((name) => planned.get(name) ?? []);
    const settings = definition.build.definition;
    const expected = builder.expects?.(settings);
    const inputs: KeyInputs = {
      kind: definition.kind,
      builder: { name: builder.name, version: builder.version },
      platform: house.settings.platform,
      definition: builder.keyed?.(settings) ?? settings,
      trees: source.entries.map(({ path, mode, oid }) => ({ path, mode, oid })),
      parents: Object.fromEntries(bases.map((base) => [base.service, base.key])),
      pins: Object.fromEntries(references.flatMap((name) => (pins[name] === undefined ? [] : [[name, pins[name]]]))),
      checks: buildChecks(definition, whole, parts),
    };
    planned.set(service, {
      key: artifactKey(inputs),
      depth: Math.max(0, ...bases.map(({ depth }) => depth + 1)),
      service,
      builder: builder.name,
      repository: `${project}/${service}`,
      inputs: { ...inputs },
      ...(expected === undefined ? {} : { reportWithinMs: expected.withinMs }),
    });
  }
  return [...planned.values()];
}

interface ReadService {
  readonly service: string;
  readonly definition: ServiceDefinition<CheckDefinition>;
  readonly source: SourceTree;
  readonly whole: SourceTree;
  readonly builder: Builder;
  /** Outside base images. */
  readonly references: readonly string[];
}

/**
 * The services in the order in which they can be planned. All are read at once, so that what is asked of git goes together;
 * of several problems the first in that order is told.
 */
async function readSources(
  house: House,
  repositoryId: string,
  commit: string,
  config: ProjectConfig,
): Promise<ReadService[]> {
  const read = await Promise.allSettled(
    buildOrder(config.services).map(async (service): Promise<ReadService[]> => {
      const definition = config.services[service];
      if (definition === undefined) return [];
      const parts = await sourceOf(house, repositoryId, commit, service, definition);
      const references = await parts.builder.baseReferences(definition.build.definition, parts.source);
      refuseUndeclared(service, references, config);
      return [{ service, definition, ...parts, references }];
    }),
  );
  return read.flatMap((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

/** A Dockerfile that names a base service without saying so in towpath.yaml would take somebody else's image of that name. */
function refuseUndeclared(service: string, references: readonly string[], { services }: ProjectConfig): void {
  const base = references.find((reference) => Object.hasOwn(services, reference));
  if (base === undefined || services[base]?.kind !== 'base') return;
  throw new TowpathError({
    code: 'artifact.base-undeclared',
    what: `The Dockerfile of "${service}" names "${base}", a base service of this project, and towpath.yaml does not say that it builds upon it.`,
    fix: `Write \`from: ${base}\` beside \`file\` in the build section of "${service}"; an image of that name is written with its tag.`,
  });
}

function buildChecks(
  { checks }: ServiceDefinition<CheckDefinition>,
  source: SourceTree,
  pins: PinsOf,
): Record<string, string> {
  const asked = Object.entries(checks).filter(([, { during }]) => during === 'build');
  return Object.fromEntries(
    asked.map(([name, check]) => {
      const parts = pinnedParts(check.backing, [], pins);
      return [name, buildQuestionOf({ check, kind: kindOf(check), source, parts })];
    }),
  );
}

/** The source of a service at a commit: filtered as its builder wants it, and whole, as checks see it. */
export async function sourceOf(
  house: House,
  repositoryId: string,
  commit: string,
  service: string,
  definition: ServiceDefinition<CheckDefinition>,
): Promise<{ source: SourceTree; whole: SourceTree; builder: ReturnType<typeof builderOf> }> {
  const mirror = await house.mirrorOf(repositoryId);
  const builder = builderOf(house, definition.build.builder);
  const path = definition.path === '.' ? '' : definition.path;
  if (path !== '' && (await mirror.entry(commit, path))?.mode !== '040000') {
    throw new TowpathError({
      code: 'artifact.no-source',
      what: `Service "${service}" names the folder "${definition.path}", which commit ${commit.slice(0, 7)} does not have.`,
      fix: 'Correct `path` in towpath.yaml, or add the folder.',
    });
  }
  const whole = await treeOf(house, repositoryId, commit, definition);
  return { source: await builder.inputs(definition.build.definition, whole), whole, builder };
}

/**
 * The files of a service. What says how things are built and where they run is part of none of them: else a word about
 * prod would build anew what lies at the root.
 */
export async function treeOf(
  house: House,
  repositoryId: string,
  commit: string,
  { path }: Pick<ServiceDefinition, 'path'>,
): Promise<SourceTree> {
  const mirror = await house.mirrorOf(repositoryId);
  if (path !== '.') return mirror.sourceTree(commit, path);
  return mirror.sourceTree(commit, '', (entry) => entry.path !== CONFIG_FILE);
}

function builderOf(house: House, name: string) {
  const builder = house.builders.get(name);
  if (builder !== undefined) return builder;
  throw new TowpathError({
    code: 'artifact.no-builder',
    what: `This server has no builder "${name}".`,
    fix: `Use one of: ${[...house.builders.keys()].join(', ')}.`,
  });
}

async function pinned(
  house: House,
  projectId: string,
  services: readonly Pick<ReadService, 'service' | 'references'>[],
  isOfStrangers: boolean,
): Promise<Record<string, Digest>> {
  const wanted = new Set(services.flatMap(({ references }) => references));
  const known = await pinsOf(house.store.db, projectId, [...wanted]);
  for (const { service, references } of services) {
    for (const reference of references) {
      if (known[reference] !== undefined) continue;
      if (isOfStrangers) throw foreignBase(service, reference);
      const digest = await resolveBase(house, [service], reference);
      known[reference] = await pinBase(house.store.db, projectId, reference, digest, 'towpath');
    }
  }
  return known;
}

/**
 * What an outside base image is today. A problem of the registry keeps its code, which says whether another try is worth
 * it, and tells who asked.
 * @throws TowpathError `artifact.no-base`
 */
export async function resolveBase(house: House, services: readonly string[], reference: string): Promise<Digest> {
  const who = whoBuildsOn(services, reference);
  const digest = await house.resolveBase(reference).catch((error: unknown) => {
    if (!hasCode(error)) throw error;
    const { code, what, fix } = problemOf(error);
    throw new TowpathError({ code, what: `${who}, which cannot be looked up: ${what}`, fix }, { cause: error });
  });
  if (digest !== null) return digest;
  throw new TowpathError({
    code: 'artifact.no-base',
    what: `${who}, which is not in its registry.`,
    fix: 'Correct the reference, or push the image; a registry that asks for a login reads the credentials of `docker login`.',
  });
}

/** Images are read with the credentials of this machine, and what is in one can be read by what is built upon it. */
function foreignBase(service: string, reference: string): TowpathError {
  return new TowpathError({
    code: 'source.fork-base',
    what: `The commit comes from a fork, and ${whoBuildsOn([service], reference)}, which nothing of this project was built on before.`,
    fix: 'Push the commit to a branch of this repository if it is good.',
  });
}

function whoBuildsOn(services: readonly string[], reference: string): string {
  const [one, ...more] = services;
  if (one === undefined) return `Nothing builds on ${reference}`;
  return more.length === 0 ? `Service "${one}" builds on ${reference}` : `${services.join(', ')} build on ${reference}`;
}
