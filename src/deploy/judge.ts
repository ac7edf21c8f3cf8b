import type { Desired, Observed } from './driver.ts';

export type Judgement = { readonly kind: 'good' } | { readonly kind: 'wrong'; readonly what: string };

/**
 * Invariant 2: is what was seen what was asked for? Every replica that serves has the desired digest and is healthy, there
 * are as many as asked for, nothing else of ours serves in the environment, and what runs beside is well. Of a driver that
 * sees no replicas: it stands written wherever it should, and whoever deploys from there tells that it runs; where nobody
 * tells, that is said.
 */
export function judge(desired: Desired, observed: Observed): Judgement {
  for (const { service, digest, replicas } of desired.services) {
    const { written, told } = observed.services[service] ?? {};
    if (written !== undefined) {
      const other = written.find((seen) => seen.digest !== digest);
      if (other !== undefined) return wrong(`${other.place} names ${other.digest?.slice(0, 19) ?? 'no digest'}`);
      if (told?.isGood === false) return wrong(`${told.by} tells of ${service}: ${told.says}`);
      if (written.length > 0) continue;
    }
    const serving = (observed.services[service]?.replicas ?? []).filter((replica) => replica.serving);
    const foreign = serving.find((replica) => replica.digest !== digest);
    if (foreign !== undefined) return wrong(`${service} still runs ${foreign.digest.slice(0, 19)}`);
    const sick = serving.find((replica) => replica.health !== 'healthy');
    if (sick !== undefined) return wrong(`a replica of ${service} is ${sick.health}`);
    if (serving.length < replicas) return wrong(`${serving.length} of ${replicas} replicas of ${service} serve`);
  }
  const wanted = new Set(desired.services.map(({ service }) => service));
  const extra = Object.entries(observed.services).find(
    ([service, { replicas }]) => !wanted.has(service) && replicas.some((replica) => replica.serving),
  );
  if (extra !== undefined) return wrong(`${extra[0]} runs though this release has no such service`);
  const amiss = Object.entries(observed.beside ?? {}).find(([, what]) => what !== null);
  return amiss === undefined ? { kind: 'good' } : wrong(`${amiss[0]}, beside the release: ${amiss[1]}`);
}

function wrong(what: string): Judgement {
  return { kind: 'wrong', what };
}
