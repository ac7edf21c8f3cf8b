import { DeployError } from '../deploy-error.ts';

export function noProgram(): DeployError {
  return new DeployError({
    code: 'compose.no-program',
    what: 'Docker Compose is not on this machine.',
    fix: 'Install the plugin `docker compose` (2.20 or later), or let TOWPATH_COMPOSE name the program.',
  });
}

export function tooOld(version: string): DeployError {
  return new DeployError({
    code: 'compose.too-old',
    what: `Docker Compose is of version ${version}; Towpath needs 2.20 or later.`,
    fix: 'Install the newer plugin `docker compose`, or let TOWPATH_COMPOSE name it.',
  });
}

/** @param words what the program said last */
export function failed(doing: string, words: string): DeployError {
  return new DeployError({
    code: 'compose.failed',
    what: `Docker Compose could not ${doing}: ${words}.`,
    fix: 'See the words of Docker Compose, and correct the compose file in the repository.',
  });
}

export function noFile(file: string): DeployError {
  return new DeployError({
    code: 'compose.file-missing',
    what: `The repository has no file ${JSON.stringify(file)} at the commit of the release.`,
    fix: 'Commit it, or name another one below `deploy` in towpath.yaml. A link is no file.',
  });
}

export function notYaml(file: string, why: string): DeployError {
  return new DeployError({
    code: 'compose.not-yaml',
    what: `${file} cannot be read: ${why}.`,
    fix: 'Correct the file in the repository; `docker compose config` shows how it is read.',
  });
}

/** @param where such as `services.web.privileged` */
export function refused(where: string, why: string, fix: string): DeployError {
  return new DeployError({ code: 'compose.refused', what: `The compose file has ${where}, ${why}.`, fix });
}

export function unmapped(service: string, name: string): DeployError {
  return new DeployError({
    code: 'compose.unmapped',
    what: `The compose file has no service "${name}" for ${JSON.stringify(service)} of the release.`,
    fix: 'Add it, activate its profile by `profiles`, or say by `services` what the compose file calls it: below `deploy` in towpath.yaml.',
  });
}

export function builds(name: string): DeployError {
  return new DeployError({
    code: 'compose.builds',
    what: `The compose file builds "${name}", which is no service of the release: no environment ever builds.`,
    fix: 'Add it to towpath.yaml as a service, give it an image in a second compose file, or put it in a profile that is not active here.',
  });
}

export function unpinned(name: string, image: string): DeployError {
  return new DeployError({
    code: 'compose.unpinned',
    what: `The image of "${name}" (${image}) has no digest, so what runs tomorrow may be something else.`,
    fix: 'Write it as `name:tag@sha256:...`, or take `unpinned: refuse` from the environment in towpath.yaml.',
  });
}

export function secretMissing(name: string, secret: string): DeployError {
  return new DeployError({
    code: 'compose.secret-missing',
    what: `"${name}" of the compose file wants the secret "${secret}", which the environment does not have.`,
    fix: `Add \`${secret}\` to the environment's \`secrets\` in towpath.yaml; files and values in the compose file are not taken.`,
  });
}

/** @param why such as `it is unhealthy` */
export function besideFailed(name: string, why: string): DeployError {
  return new DeployError({
    code: 'compose.beside-failed',
    what: `"${name}" of the compose file, which the release needs beside it, is not well: ${why}.`,
    fix: 'Read what it printed, in the log of the promotion. What ran of the release before still serves.',
  });
}

export function noSource(): DeployError {
  return new DeployError({
    code: 'compose.no-source',
    what: 'The driver was not given the repository of the release.',
    fix: 'Deploy by a promotion: the compose file is read at the commit of the release.',
  });
}
