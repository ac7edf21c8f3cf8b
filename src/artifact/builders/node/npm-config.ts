import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { ArtifactError } from '../../artifact-error.ts';

/** npm's own default; in a lock file it stands for "the registry that is configured". */
const PUBLIC_REGISTRY = 'https://registry.npmjs.org/';

/** Where packages come from, as npm would read it from its configuration on this machine. */
export interface NpmConfig {
  /** Ends with a slash. */
  readonly registry: string;
  /** `@scope` -> registry, with a slash at the end. */
  readonly scopes: Readonly<Record<string, string>>;
  /** `//host/path/` -> value of the Authorization header. Goes to URLs below that prefix, and nowhere else. */
  readonly authorizations: Readonly<Record<string, string>>;
  /** PEM text of the authorities to trust instead of the usual ones. */
  readonly ca?: string;
}

/**
 * Reads the registry, scopes and credentials from the environment and from npm's user and global files.
 * @param overrides the registry of the server's own configuration; it wins over all
 */
export function readNpmConfig(
  env: Readonly<Record<string, string | undefined>>,
  overrides: { readonly registry?: string | undefined } = {},
): NpmConfig {
  const files = [
    env['npm_config_globalconfig'] ?? join(env['PREFIX'] ?? '/usr', 'etc/npmrc'),
    '/etc/npmrc',
    env['npm_config_userconfig'] ?? env['NPM_CONFIG_USERCONFIG'] ?? join(homedir(), '.npmrc'),
  ];
  const settings = Object.assign({}, ...files.map((file) => settingsOf(file, env))) as Record<string, string>;
  const registry =
    overrides.registry ??
    env['npm_config_registry'] ??
    env['NPM_CONFIG_REGISTRY'] ??
    settings['registry'] ??
    PUBLIC_REGISTRY;
  const cafile = settings['cafile'];
  return {
    registry: withSlash(registry),
    scopes: scopesOf(settings),
    authorizations: authorizationsOf(settings),
    ...(cafile !== undefined && existsSync(cafile) ? { ca: readFileSync(cafile, 'utf8') } : {}),
  };
}

/**
 * The configuration with the registries that a project's own `.npmrc` names. Credentials of it are not taken.
 * @throws ArtifactError `artifact.npmrc-invalid`
 */
export function withProjectConfig(config: NpmConfig, settings: Readonly<Record<string, string>>): NpmConfig {
  const { registry } = settings;
  const scopes = scopesOf(settings);
  for (const url of [...(registry === undefined ? [] : [registry]), ...Object.values(scopes)])
    if (!isHttp(url)) throw noRegistry(url);
  return {
    ...config,
    ...(registry === undefined ? {} : { registry: withSlash(registry) }),
    scopes: { ...config.scopes, ...scopes },
  };
}

function isHttp(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
}

/** The lines `key = value` of an npmrc file, with nothing expanded. */
export function parseNpmrc(text: string): Record<string, string> {
  const pairs = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;[]/.test(line))
    .map((line): [string, string] => {
      const equals = line.indexOf('=');
      return equals < 0 ? [line, 'true'] : [line.slice(0, equals).trim(), unquoted(line.slice(equals + 1).trim())];
    });
  return Object.fromEntries(pairs);
}

/** Where a package's tarball lies. `resolved` is what the lock file says, if it says so. */
export function tarballUrl(
  config: NpmConfig,
  pkg: { readonly name: string; readonly version: string; readonly resolved?: string | undefined },
): string {
  if (pkg.resolved === undefined) {
    const [scope, bare] = pkg.name.startsWith('@') ? pkg.name.split('/') : [undefined, pkg.name];
    const own = scope !== undefined && Object.hasOwn(config.scopes, scope) ? config.scopes[scope] : undefined;
    const registry = own ?? config.registry;
    return `${registry}${pkg.name}/-/${bare}-${pkg.version}.tgz`;
  }
  const url = new URL(pkg.resolved);
  if (url.hostname !== new URL(PUBLIC_REGISTRY).hostname) return url.href;
  return `${config.registry.slice(0, -1)}${url.pathname}${url.search}`;
}

/** The Authorization header for a URL: of the longest prefix that it lies below. */
export function authorizationFor(config: NpmConfig, url: string): string | undefined {
  const { host, pathname } = new URL(url);
  const place = `//${host}${pathname}`;
  const [best] = Object.keys(config.authorizations)
    .filter((prefix) => place.startsWith(prefix))
    .sort((one, other) => other.length - one.length);
  return best === undefined ? undefined : config.authorizations[best];
}

function settingsOf(file: string, env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  if (!existsSync(file)) return {};
  const expand = (text: string) => text.replace(/\$\{([^}]+)\}/g, (whole, name: string) => env[name] ?? whole);
  return Object.fromEntries(
    Object.entries(parseNpmrc(readFileSync(file, 'utf8'))).map(([key, value]) => [expand(key), expand(value)]),
  );
}

function scopesOf(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings)
      .filter(([key]) => /^@[^/]+:registry$/.test(key))
      .map(([key, value]) => [key.slice(0, -':registry'.length), withSlash(value)]),
  );
}

function authorizationsOf(settings: Readonly<Record<string, string>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(settings)) {
    const [, prefix, kind] = /^(\/\/.+\/):(_authToken|_auth|username)$/.exec(key) ?? [];
    if (prefix === undefined) continue;
    if (kind === '_authToken') found[prefix] = `Bearer ${value}`;
    else if (kind === '_auth') found[prefix] = `Basic ${value}`;
    else {
      const password = Buffer.from(settings[`${prefix}:_password`] ?? '', 'base64').toString('utf8');
      found[prefix] ??= `Basic ${Buffer.from(`${value}:${password}`).toString('base64')}`;
    }
  }
  return found;
}

function unquoted(text: string): string {
  return /^(["']).*\1$/.test(text) ? text.slice(1, -1) : text;
}

function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`;
}

function noRegistry(url: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.npmrc-invalid',
    what: `The .npmrc of the project names the registry "${url.slice(0, 200)}", which is no http(s) address.`,
    fix: 'Correct `registry` in .npmrc.',
  });
}
