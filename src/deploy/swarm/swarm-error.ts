import { DeployError } from '../deploy-error.ts';

export function notManager(state: string): DeployError {
  return new DeployError({
    code: 'swarm.not-manager',
    what: `The Docker Engine that the swarm driver asks is no manager of a Swarm (it is ${state}).`,
    fix: 'Run `docker swarm init` there, or let TOWPATH_SWARM_HOST name an engine that is a manager.',
  });
}

export function tooOld(apiVersion: string): DeployError {
  return new DeployError({
    code: 'swarm.engine-too-old',
    what: `The manager speaks version ${apiVersion} of the Engine API; the swarm driver needs 1.41.`,
    fix: 'Update its Docker Engine to 20.10 or later.',
  });
}

export function noLeader(): DeployError {
  return new DeployError({
    code: 'swarm.no-leader',
    what: 'The managers of the Swarm have no leader: half of them or more do not answer.',
    fix: 'Bring managers back (`docker node ls` tells which are away). What runs goes on running meanwhile.',
  });
}

export function noRoom(service: string, what: string, fix: string): DeployError {
  return new DeployError({ code: 'swarm.no-room', what: `"${service}" would wait for ever: ${what}.`, fix });
}

export function registryOutOfReach(image: string): DeployError {
  return new DeployError({
    code: 'swarm.registry-out-of-reach',
    what: `Other nodes of the Swarm cannot fetch ${image}: its address is that of this machine alone.`,
    fix: 'Let TOWPATH_REGISTRY name a registry that all nodes reach, or use a Swarm of one node.',
  });
}

export function contended(what: string): DeployError {
  return new DeployError({
    code: 'swarm.contended',
    what: `${what} was changed by somebody else again and again while it was to be changed.`,
    fix: 'Look who else writes to this Swarm (another Towpath, a script, `docker service update`), and deploy again.',
  });
}

export function lost(service: string): DeployError {
  return new DeployError({
    code: 'swarm.changed-by-others',
    what: `"${service}" was removed or changed in the Swarm by somebody else while it was rolled out.`,
    fix: 'Look who else writes to this Swarm, and deploy again.',
  });
}

/** @param why what its tasks said, one sentence each */
export function rolledBack(service: string, why: readonly string[]): DeployError {
  const words = why.length === 0 ? 'its tasks gave no reason' : why.join('; ');
  const [code, fix] = remedy(words);
  return new DeployError({ code, what: `The new "${service}" did not come to run: ${words}.`, fix });
}

export function tooLate(service: string, afterMs: number, why: readonly string[]): DeployError {
  const words = why.length === 0 ? '' : ` (${why.join('; ')})`;
  return new DeployError({
    code: 'deploy.unhealthy',
    what: `The new "${service}" was not healthy on all its replicas within ${Math.round(afterMs / 1000)} s${words}.`,
    fix: 'Read its log, and `docker service ps`: nodes may lack room, or the way to the registry. What ran before still serves.',
  });
}

/** @param key as the stack file calls it */
export function networkDiffers(key: string): DeployError {
  return new DeployError({
    code: 'swarm.network-differs',
    what: `The environment's network "${key}" is there with other settings than the stack file gives it, and a network never changes.`,
    fix: 'Give it another name in the stack file: the old one is removed once nothing uses it.',
  });
}

/** @param why what its task said */
export function jobUnborn(service: string, why: string): DeployError {
  const [code] = remedy(why);
  return new DeployError({
    code: code === 'swarm.image-unavailable' ? code : 'swarm.job-not-begun',
    what: `The job of "${service}" could not be begun: ${why}.`,
    fix: 'Look whether its command is in the image, and whether every node reaches the registry, with credentials where it asks for them.',
  });
}

export function jobPending(service: string, afterMs: number, why: string | undefined): DeployError {
  const words = why === undefined || why === '' ? '' : ` (${why.replace(/\.$/, '')})`;
  return new DeployError({
    code: 'swarm.job-not-begun',
    what: `No node of the Swarm began the job of "${service}" within ${Math.round(afterMs / 1000)} s${words}.`,
    fix: 'See `docker node ls`: nodes may lack room, or the way to the registry.',
  });
}

function remedy(words: string): [string, string] {
  if (/unhealthy|not healthy|health ?check/i.test(words)) {
    return [
      'deploy.unhealthy',
      'Read its log, and check its port and health path in towpath.yaml, and `probe`: the image needs what asks. What ran before still serves.',
    ];
  }
  if (/no such image|pull|manifest|unauthorized/i.test(words)) {
    return ['swarm.image-unavailable', 'Let every node reach the registry, with credentials where it asks for them.'];
  }
  return ['deploy.exited', 'Read its log: the program stopped or could not start. What ran before still serves.'];
}
