import type { BranchWriter } from '../../git/branch-writer.ts';
import type { Store } from '../../store/database.ts';
import type { Action, Desired, DeployDriver, DesiredService, Observed, Target, Written } from '../driver.ts';
import { targetKey } from '../rollout.ts';
import { readFile } from './batch.ts';
import { commitMessage } from './commit-message.ts';
import { GitopsConfig, inFolder, placeName } from './config.ts';
import { GitopsError } from './gitops-error.ts';
import { readImage } from './image-field.ts';
import type { ImagePlace } from './image-place.ts';
import type { SerialWriter } from './serial-writer.ts';
import { claimTarget, forgetTarget, knownTarget, type TargetPlace } from './target-store.ts';
import type { ManifestRepository } from './write-request.ts';
import { manifestBranch } from './write-store.ts';

export interface GitopsParts {
  readonly store: Store;
  readonly serial: SerialWriter;
  /** What writes to a repository; made once and kept. */
  readonly writerOf: (repository: ManifestRepository) => Promise<BranchWriter>;
}

export type GitopsAction = Action & { readonly kind: 'edit' | 'push' };

/** Writes images into a manifest repository, from which another program deploys them. What runs is not seen. */
export function createGitopsDriver(parts: GitopsParts): DeployDriver<GitopsConfig, GitopsAction> {
  const { store } = parts;
  return {
    name: 'gitops',
    config: GitopsConfig,
    lacks: ['replicas', 'settings', 'addresses', 'output', 'end'],
    plan,
    apply: async (desired, actions, { log, signal, token }) => {
      const { target, config, operation } = desired;
      const place = placeOf(desired);
      signal.throwIfAborted();
      await claimTarget(store.db, { target: targetKey(target), name: nameOf(target), token }, operation, place);
      for (const { kind, summary } of actions) {
        signal.throwIfAborted();
        log(summary);
        if (kind !== 'push') continue;
        const ask = {
          key: `${targetKey(target)} ${operation}`,
          branch: manifestBranch(place.repository.url, place.branch),
          target: targetKey(target),
          token,
          request: {
            edits: desired.services.flatMap((service) =>
              placesOf(desired, service).map((one) => ({
                place: one,
                image: { digest: service.digest, tag: service.tag ?? null },
              })),
            ),
            style: config.write,
            author: config.author,
            message: commitMessage(desired),
          },
        };
        const commit = await parts.serial.write(ask, await parts.writerOf(place.repository), signal);
        log(`it stands in commit ${commit.slice(0, 12)}`);
      }
    },
    observe: (target) => observe(parts, target),
    destroy: async (target, { log, token }) => {
      const known = await knownTarget(store.db, targetKey(target));
      await forgetTarget(store.db, targetKey(target), nameOf(target), token);
      if (known !== null) log(`the manifests in ${known.repository.url} stay: whoever removes them ends what they run`);
    },
    handOver: async (target, { log, token }) => {
      const known = await knownTarget(store.db, targetKey(target));
      if (known === null) return;
      await forgetTarget(store.db, targetKey(target), nameOf(target), token);
      log(`the manifests in ${known.repository.url} stay as they are, and are written no more`);
    },
  };
}

/** The same operation that stands there already has nothing to do; another is a commit of its own, if it changes anything. */
function plan(desired: Desired<GitopsConfig>, observed: Observed): GitopsAction[] {
  requireImagesOnly(desired);
  const edits = desired.services.flatMap((service) => placesOf(desired, service).map((place) => ({ service, place })));
  const { repository, branch } = placeOf(desired);
  const isThere = edits.every(({ service, place }) =>
    observed.services[service.service]?.written?.some(
      (seen) =>
        seen.place === fullName({ repository, branch }, place) &&
        seen.digest === service.digest &&
        seen.operation === desired.operation,
    ),
  );
  if (isThere) return [];
  return [
    ...edits.map(({ service, place }): GitopsAction => ({
      kind: 'edit',
      service: service.service,
      summary: `write ${service.service}@${service.digest.slice(0, 'sha256:'.length + 12)} to ${placeName(place)}`,
    })),
    { kind: 'push', summary: `push it to ${branch === '' ? 'the default branch' : branch} of ${repository.url}` },
  ];
}

async function observe({ store, writerOf }: GitopsParts, target: Target): Promise<Observed> {
  const known = await knownTarget(store.db, targetKey(target));
  if (known === null) return { services: {} };
  const writer = await writerOf(known.repository);
  const head = await writer.head(known.branch === '' ? null : known.branch);
  const draft = head === null ? null : await writer.draft(head.oid);
  const digestAt = async (place: ImagePlace): Promise<Written['digest']> => {
    if (draft === null) return null;
    try {
      return readImage(await readFile(draft, place.file), place);
    } catch (error) {
      if (error instanceof GitopsError) return null; // whoever writes there next tells why
      throw error;
    }
  };
  const services: Record<string, Observed['services'][string]> = {};
  for (const [service, places] of Object.entries(known.services)) {
    const written: Written[] = [];
    for (const place of places)
      written.push({
        place: fullName(known, place),
        digest: await digestAt(place),
        operation: known.operation,
      });
    services[service] = { replicas: [], written };
  }
  return { services };
}

function placeOf(desired: Desired<GitopsConfig>): TargetPlace {
  const { repository, host, credential, branch } = desired.config;
  return {
    repository: { url: repository, host: host ?? null, credential: credential ?? null },
    branch: branch ?? '',
    services: Object.fromEntries(desired.services.map((service) => [service.service, placesOf(desired, service)])),
  };
}

/** @throws GitopsError `gitops.unmapped` */
function placesOf({ config, target }: Desired<GitopsConfig>, { service }: DesiredService): ImagePlace[] {
  const places = Object.hasOwn(config.services, service) ? (config.services[service] ?? []) : [];
  if (places.length > 0) return places.map((place) => inFolder(config.folder, place));
  throw new GitopsError({
    code: 'gitops.unmapped',
    what: `Where the image of "${service}" stands in the manifests of ${target.environment} is not said.`,
    fix: `Add it below \`deploy: { gitops: { services: { ... } } }\` of ${target.environment} in towpath.yaml.`,
  });
}

/** What a manifest holds besides images is its own matter: what would be left out in silence is refused. */
function requireImagesOnly({ services, target }: Desired): void {
  const one = services.find(({ env, secrets }) => Object.keys(env).length > 0 || Object.keys(secrets).length > 0);
  if (one === undefined) return;
  throw new GitopsError({
    code: 'gitops.settings',
    what: `${target.environment} has \`config\` or \`secrets\`, which the gitops driver does not write: it writes images alone.`,
    fix: 'Put them into the manifests, and take them out of the environment in towpath.yaml.',
  });
}

function fullName({ repository, branch }: Pick<TargetPlace, 'repository' | 'branch'>, place: ImagePlace): string {
  return `${repository.url}#${branch} ${placeName(place)}`;
}

function nameOf({ project, environment }: Target): string {
  return `"${environment}" of ${project}`;
}
