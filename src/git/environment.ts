import { authorizationOf, type GitCredential } from './credential.ts';
import type { RemoteUrl } from './remote.ts';

export interface GitPlace {
  /** Repositories that this run may open, whoever owns them. */
  readonly directories: readonly string[];
  /** Without it, no transport at all is allowed: a run on local objects can never reach the network. */
  readonly remote?: { readonly url: RemoteUrl; readonly credential?: GitCredential | undefined } | undefined;
  readonly config?: readonly ConfigEntry[] | undefined;
}

export type ConfigEntry = readonly [key: string, value: string];

/**
 * The whole environment of a git process, built from nothing: no `GIT_*`, no home, no configuration of the machine or
 * its user reaches it. Settings travel as `GIT_CONFIG_*` and not as arguments, so that a token never shows in `ps`.
 */
export function gitEnvironment(
  place: GitPlace,
  path: string = process.env['PATH'] ?? '/usr/bin:/bin',
): NodeJS.ProcessEnv {
  const config = [...HARDENING, ...remoteConfig(place), ...(place.config ?? [])];
  const environment: NodeJS.ProcessEnv = {
    PATH: path,
    HOME: '/nonexistent',
    LC_ALL: 'C',
    TZ: 'UTC',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    GIT_ALLOW_PROTOCOL: place.remote?.url.scheme ?? '',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_SSH_COMMAND: sshCommand(place.remote?.credential),
    GIT_CONFIG_COUNT: String(config.length),
  };
  for (const [i, [key, value]] of config.entries()) {
    environment[`GIT_CONFIG_KEY_${i}`] = key;
    environment[`GIT_CONFIG_VALUE_${i}`] = value;
  }
  return environment;
}

const HARDENING: readonly ConfigEntry[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.attributesFile', '/dev/null'],
  ['core.symlinks', 'false'],
  ['core.askPass', ''],
  ['init.templateDir', ''],
  ['init.defaultBranch', 'main'],
  ['protocol.allow', 'never'],
  ['protocol.version', '2'],
  ['transfer.fsckObjects', 'true'],
  // Harmless oddities in the history of old and honest repositories; everything dangerous stays refused.
  ['fetch.fsck.zeroPaddedFilemode', 'warn'],
  ['fetch.fsck.missingSpaceBeforeDate', 'warn'],
  ['fetch.fsck.badTimezone', 'warn'],
  ['fetch.fsck.badDateOverflow', 'warn'],
  ['transfer.unpackLimit', '1'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['http.followRedirects', 'false'],
  ['http.lowSpeedLimit', '1000'],
  ['http.lowSpeedTime', '30'],
  ['credential.helper', ''],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['safe.bareRepository', 'explicit'],
  ['advice.detachedHead', 'false'],
];

function remoteConfig({ directories, remote }: GitPlace): ConfigEntry[] {
  const config: ConfigEntry[] = directories.map((directory) => ['safe.directory', directory]);
  if (remote === undefined) return config;
  config.push([`protocol.${remote.url.scheme}.allow`, 'always']);
  const authorization = authorizationOf(remote.credential);
  if (authorization !== undefined && (remote.url.scheme === 'https' || remote.url.scheme === 'http'))
    config.push([`http.${remote.url.href}.extraHeader`, `Authorization: ${authorization}`]);
  return config;
}

/** Git hands this to a shell, hence the quoting. An unknown host key is an error, never a question. */
function sshCommand(credential: GitCredential | undefined): string {
  const ssh = credential?.kind === 'ssh' ? credential : undefined;
  const options = [
    '-F/dev/null',
    '-oBatchMode=yes',
    '-oStrictHostKeyChecking=yes',
    '-oForwardAgent=no',
    '-oConnectTimeout=20',
  ];
  if (ssh?.knownHostsFile !== undefined) options.push(`-oUserKnownHostsFile=${sshPath(ssh.knownHostsFile)}`);
  if (ssh?.keyFile !== undefined) options.push('-oIdentitiesOnly=yes', `-oIdentityFile=${sshPath(ssh.keyFile)}`);
  return ['ssh', ...options].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
}

/** Ssh splits the values of some options at blanks and expands `%`. */
function sshPath(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}
