import type { ServiceDefinition } from '../artifact/service.ts';
import type { CheckDefinition } from '../check/check.ts';
import type { Desired, DesiredService, SourceFiles, Target } from '../deploy/driver.ts';
import { endpointsFor } from '../environment/endpoint-store.ts';
import type { EnvironmentRow } from '../environment/environment-store.ts';
import { environmentOf } from '../environment/place.ts';
import { interpolate } from '../environment/variables.ts';
import type { Mirror } from '../git/mirror.ts';
import { isPortFree } from '../lib/port.ts';
import { slugOf } from '../lib/slug.ts';
import { linkTo } from '../notify/plan.ts';
import type { PathEnvironment } from '../path/path.ts';
import { imageTagOf } from '../registry/image-names.ts';
import { nameOf, type Release } from '../release/release.ts';
import { namesOf } from '../release/release-store.ts';
import type { Sql } from '../store/database.ts';
import type { Deployment } from './deploy-release.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';

export interface Migration {
  readonly service: string;
  readonly run: readonly string[];
  readonly timeoutMs: number;
}

/** What the driver is asked for: images by digest, configuration of the environment, ports that stay; and what it cannot run. */
export async function desire(
  house: House,
  {
    promotionId,
    environment,
    definition,
    release,
    operation,
  }: Pick<Deployment, 'promotionId' | 'environment' | 'definition' | 'release' | 'operation'>,
): Promise<{
  readonly desired: Desired;
  readonly functions: readonly string[];
  readonly migrations: readonly Migration[];
}> {
  const configs = new Map<string, Readonly<Record<string, ServiceDefinition<CheckDefinition>>>>();
  for (const commit of new Set(release.services.map((part) => part.commit))) {
    configs.set(commit, (await configAt(house, release.repositoryId, commit)).services);
  }
  const functions = release.services.flatMap(({ service, commit }) =>
    configs.get(commit)?.[service]?.kind === 'zip' ? [service] : [],
  );
  const runnable = release.services.flatMap((part) => {
    const service = configs.get(part.commit)?.[part.service];
    return service === undefined || service.kind !== 'image' || part.digest === null
      ? []
      : [{ part, service, digest: part.digest }];
  });
  const project = await house.store.db
    .selectFrom('project')
    .select('name')
    .where('id', '=', environment.projectId)
    .executeTakeFirstOrThrow();
  const withPort = runnable.filter(({ service }) => service.port !== undefined).map(({ part }) => part.service);
  const ports = await endpointsFor(house.store.db, environment.id, withPort, {
    firstPort: house.settings.firstPort,
    isFree: isPortFree,
  });
  const env = await variablesOf(house, environment, definition, release);
  const names = (await namesOf(house.store.db, [release.id])).get(release.id) ?? [];
  const gitTag = tagIn(names);
  const number = await numberOf(house, promotionId);
  const desired = {
    target: {
      project: project.name,
      environment: environmentOf(environment.name),
      slug: slugOf(`${project.name}/${environment.name}/${environment.id}`),
    },
    config: definition.deploy.config,
    operation,
    promotion: {
      number,
      release: nameOf(release, names),
      commit: release.commit,
      evidence: await evidenceOf(house.store.db, release.id),
      url: linkTo(house.settings.page, project.name)(`promotion ${number}`),
    },
    source: sourceAt(house, release),
    services: runnable.map(({ part, service, digest }): DesiredService => {
      const publicPort = ports[part.service];
      return {
        service: part.service,
        image: `${definition.registry ?? house.registry.host}/${part.repository}`,
        digest,
        tag: imageTagOf(gitTag === null ? { kind: 'commit', commit: part.commit } : { kind: 'tag', tag: gitTag }),
        ...(service.command === undefined ? {} : { command: service.command }),
        ...(service.port === undefined ? {} : { port: service.port }),
        ...(publicPort === undefined ? {} : { publicPort }),
        ...(service.health === undefined ? {} : { health: service.health }),
        env,
        secrets: definition.secrets,
        replicas: service.replicas,
        limits: service.limits,
      };
    }),
  };
  const migrations = runnable.flatMap(({ part, service: { migrate } }) =>
    migrate === undefined ? [] : [{ service: part.service, ...migrate }],
  );
  return { desired, functions, migrations };
}

function sourceAt(house: House, { repositoryId, commit }: Release): SourceFiles {
  const mirrorHere = async (): Promise<Mirror> => {
    const mirror = await house.mirrorOf(repositoryId);
    await mirror.ensure(commit);
    return mirror;
  };
  return {
    file: async (path, maxBytes) => (await mirrorHere()).file(commit, path, maxBytes),
    list: async (folder) =>
      (await (await mirrorHere()).tree(commit, folder)).flatMap(({ mode, path }) =>
        mode.startsWith('100') ? [path] : [],
      ),
  };
}

/** The place as drivers know it. Its slug holds the environment's id: a preview that comes again is another place. */
export async function targetOf(house: House, environment: EnvironmentRow): Promise<Target> {
  const project = await house.store.db
    .selectFrom('project')
    .select('name')
    .where('id', '=', environment.projectId)
    .executeTakeFirstOrThrow();
  return {
    project: project.name,
    environment: environmentOf(environment.name),
    slug: slugOf(`${project.name}/${environment.name}/${environment.id}`),
  };
}

async function variablesOf(
  house: House,
  environment: EnvironmentRow,
  definition: PathEnvironment,
  release: Release,
): Promise<Record<string, string>> {
  const names = (await namesOf(house.store.db, [release.id])).get(release.id) ?? [];
  const tag = tagIn(names);
  const branch =
    environment.previewBranch === null
      ? null
      : { name: environment.previewBranch, slug: slugOf(environment.previewBranch) };
  const variables = {
    branch,
    environment: { name: environmentOf(environment.name) },
    release: { commit: release.commit, tag },
  };
  return Object.fromEntries(
    Object.entries(definition.config).map(([name, text]) => [name, interpolate(text, variables)]),
  );
}

function tagIn(names: readonly string[]): string | null {
  return names.find((name) => name.startsWith('refs/tags/'))?.slice('refs/tags/'.length) ?? null;
}

async function numberOf(house: House, promotionId: string): Promise<number> {
  const row = await house.store.db
    .selectFrom('promotion')
    .select('number')
    .where('id', '=', promotionId)
    .executeTakeFirstOrThrow();
  return row.number;
}

/** The latest answer of each check about the release. */
async function evidenceOf(db: Sql, releaseId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('evidence')
    .distinctOn(['check_name', 'service'])
    .select(['check_name', 'verdict', 'id'])
    .where('release_id', '=', releaseId)
    .orderBy('check_name')
    .orderBy('service')
    .orderBy('at', 'desc')
    .limit(50)
    .execute();
  return rows.map(({ check_name, verdict, id }) => `${check_name} ${verdict} ${id}`);
}
