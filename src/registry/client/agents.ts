import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as tls from 'node:tls';

import { Agent, EnvHttpProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';

import type { Fence } from '../../lib/fence/fence.ts';
import type { AgentFor } from './transport.ts';

/** How many connections one host gets, and how long each is kept. */
export const POOL = { connections: 32, keepAliveTimeout: 20_000 };

export interface OutsideAgentsOptions {
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in either case. */
  readonly environment: NodeJS.ProcessEnv;
  /** Where docker looks for the authorities of a host: `HOST/*.crt` below it. */
  readonly certificates?: string;
  /** For addresses that somebody else names. A proxy finds out by itself what a name means: then it is the fence. */
  readonly fence?: Fence;
}

/**
 * Connections as this machine makes them: by its proxies, and trusting for each host whom docker trusts for it. What
 * docker was told about one host is believed of no other. This machine itself is never asked through a proxy.
 */
export function outsideAgents({
  environment,
  certificates = '/etc/docker/certs.d',
  fence,
}: OutsideAgentsOptions): AgentFor {
  const agents = new Map<string, Dispatcher>();
  const make = (url: URL): Dispatcher => {
    const authorities = authoritiesOf(certificates, url);
    const trust = authorities.length === 0 ? {} : { ca: [...trustedByAll(environment), ...authorities] };
    const connect = fence?.connector(trust) ?? trust;
    if (isHere(url)) return new Agent({ ...POOL, connect });
    const proxy = (name: string) => environment[name.toLowerCase()] ?? environment[name] ?? '';
    return new EnvHttpProxyAgent({
      ...POOL,
      connect, // of what is reached directly; a proxy is reached by a connection of its own
      requestTls: trust,
      httpProxy: proxy('HTTP_PROXY'),
      httpsProxy: proxy('HTTPS_PROXY'),
      noProxy: proxy('NO_PROXY'),
    });
  };
  return (url) => {
    fence?.check(url);
    const agent = agents.get(url.origin) ?? make(url);
    agents.set(url.origin, agent);
    return agent;
  };
}

function isHere({ hostname }: URL): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}

function authoritiesOf(certificates: string, { protocol, host, hostname, port }: URL): string[] {
  if (protocol !== 'https:') return [];
  const folder = [host, ...(port === '' ? [`${hostname}:443`] : [])]
    .map((name) => join(certificates, name))
    .find((path) => namesIn(path).length > 0);
  return folder === undefined ? [] : namesIn(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.crt'))
      .sort();
  } catch {
    return []; // not there, or closed to us: then the certificate is judged without it
  }
}

/** A list of one's own takes the place of Node's, so Node's is put before it. Node 20 does not tell its whole list. */
function trustedByAll(environment: NodeJS.ProcessEnv): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] };
  if (getCACertificates !== undefined) return getCACertificates('default');
  const extra = environment['NODE_EXTRA_CA_CERTS'] ?? '';
  return extra === '' ? tls.rootCertificates : [...tls.rootCertificates, readFileSync(extra, 'utf8')];
}
