import type { Action, Desired, DeployDriver, DesiredService, Observed, Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';
import { commitMessage } from './commit-message.ts';
import { type GitopsConfig, gitopsStatement, inFolder, placeName } from './config.ts';
import { GitopsError } from './gitops-error.ts';
import type { ImagePlace } from './image-place.ts';
import { fullName, observeManifests } from './observe-manifests.ts';
import { ownBranch } from './request/own-branch.ts';
import { leaveRequests, type RequestParts, requestsFor, throughRequest } from './request/through-request.ts';
import type { SerialWriter } from './serial-writer.ts';
import { standingAgainst } from './standing.ts';
import { createClaims, forgetTarget, knownTarget, type TargetPlace } from './target-store.ts';
import { follow } from './watch/follow.ts';
import { type ClusterOf, watcherName, watchOf } from './watch/watch-of.ts';
import { manifestBranch } from './write-store.ts';

/** `writerOf`: made once and kept. `patienceMs`: how long what somebody tells must stay bad until it is believed. */
export interface GitopsParts extends RequestParts {
  readonly serial: SerialWriter;
  readonly clusterOf: ClusterOf;
}

export type GitopsAction = Action & { readonly kind: 'edit' | 'push' | 'request' | 'follow' };

/**
 * Writes images into a manifest repository, from which another program deploys them. What runs is not seen by us; where
 * `success` names who sees it, a deployment is done when that one tells so.
 */
export function createGitopsDriver(parts: GitopsParts): DeployDriver<GitopsConfig, GitopsAction> {
  const { store } = parts;
  const claim = createClaims(store.db);
  return {
    ...gitopsStatement,
    waitMs: ({ request }) => request?.within ?? 0,
    waitsFor: async (target) => (await knownTarget(store.db, targetKey(target)))?.request?.waitsFor ?? null,
    plan,
    apply: async (desired, actions, context) => {
      const { target, config, operation } = desired;
      const { log, signal, token } = context;
      const place = placeOf(desired);
      const watch = await watchOf(config.success, parts.clusterOf);
      await watch?.check(signal); // before anything is written
      const writer = await parts.writerOf(place.repository);
      const requests = await requestsFor(parts, desired, place.repository, writer, signal);
      signal.throwIfAborted();
      const asked = manifestBranch(place.repository.url, place.branch);
      const came = parts.serial.expect(asked);
      const hand = { target: targetKey(target), name: nameOf(target), token, operation, place };
      const before = await claim(hand).finally(came);
      if (requests === null || before?.repository.url !== place.repository.url || before.branch !== place.branch)
        await leaveRequests(parts, target, before, context);
      const images = desired.services.flatMap(({ service, digest, tag }) =>
        (place.services[service] ?? []).map((one) => ({ place: one, image: { digest, tag: tag ?? null } })),
      );
      const branch = place.branch === '' ? null : place.branch;
      const wanted = { branch, images: images.map(({ place: one, image }) => ({ place: one, digest: image.digest })) };
      const ask = {
        key: `${hand.target} ${operation}`,
        branch: asked,
        target: hand.target,
        token,
        request: {
          edits: images,
          style: config.write,
          author: config.author,
          message: commitMessage(desired),
          own: requests === null ? null : ownBranch(target, operation),
        },
      };
      const write = () => parts.serial.write(ask, writer, signal);
      let commit = '';
      for (const { kind, summary } of actions) {
        signal.throwIfAborted();
        log(summary);
        if (kind === 'push') commit = await write();
        if (kind === 'request' && requests !== null)
          commit = await throughRequest(parts, desired, { requests, writer, wanted, key: ask.key, write }, context);
        if (kind === 'push' || kind === 'request') log(`it stands in commit ${commit.slice(0, 12)}`);
        if (kind === 'follow' && watch !== null)
          await follow({
            watch,
            patienceMs: parts.patienceMs,
            digests: desired.services.map(({ digest }) => digest),
            standingOf: standingAgainst(writer, { ...wanted, commit }),
            log,
            signal,
          });
      }
    },
    observe: (target) => observeManifests(parts, target),
    destroy: async (target, { log, token }) => {
      const known = await knownTarget(store.db, targetKey(target));
      await forgetTarget(store.db, targetKey(target), nameOf(target), token);
      await leaveRequests(parts, target, known, { log });
      if (known !== null) log(`the manifests in ${known.repository.url} stay: whoever removes them ends what they run`);
    },
    handOver: async (target, { log, token }) => {
      const known = await knownTarget(store.db, targetKey(target));
      if (known === null) return;
      await forgetTarget(store.db, targetKey(target), nameOf(target), token);
      await leaveRequests(parts, target, known, { log });
      log(`the manifests in ${known.repository.url} stay as they are, and are written no more`);
    },
  };
}

/** The same operation that stands there already has nothing to do; another is a commit of its own, if it changes anything. */
function plan(desired: Desired<GitopsConfig>, observed: Observed): GitopsAction[] {
  requireImagesOnly(desired);
  const edits = desired.services.flatMap((service) => placesOf(desired, service).map((place) => ({ service, place })));
  const { repository, branch } = placeOf(desired);
  const { success, request } = desired.config;
  const isThere = edits.every(({ service, place }) => {
    const { written, told } = observed.services[service.service] ?? {};
    const stands = written?.some(
      (seen) =>
        seen.place === fullName({ repository, branch }, place) &&
        seen.digest === service.digest &&
        seen.operation === desired.operation,
    );
    return stands === true && told?.isGood !== false;
  });
  if (isThere) return [];
  const into = branch === '' ? 'the default branch' : branch;
  return [
    ...edits.map(({ service, place }): GitopsAction => ({
      kind: 'edit',
      service: service.service,
      summary: `write ${service.service}@${service.digest.slice(0, 'sha256:'.length + 12)} to ${placeName(place)}`,
    })),
    ...(request === undefined
      ? [{ kind: 'push' as const, summary: `push it to ${into} of ${repository.url}` }]
      : [
          {
            kind: 'push' as const,
            summary: `push it to ${ownBranch(desired.target, desired.operation)} of ${repository.url}`,
          },
          { kind: 'request' as const, summary: `ask for a merge into ${into}, and wait until it stands there` },
        ]),
    ...(success === 'commit'
      ? []
      : [{ kind: 'follow' as const, summary: `wait until ${watcherName(success)} tells that it runs` }]),
  ];
}

function placeOf(desired: Desired<GitopsConfig>): TargetPlace {
  const { repository, host, credential, branch, request } = desired.config;
  return {
    repository: { url: repository, host: host ?? null, credential: credential ?? null },
    branch: branch ?? '',
    success: desired.config.success,
    request: request === undefined ? null : { credential: request.credential ?? null, waitsFor: null },
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

function nameOf({ project, environment }: Target): string {
  return `"${environment}" of ${project}`;
}
