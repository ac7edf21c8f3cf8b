import { createServer as createProxy } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { outsideAgents } from '../client/agents.ts';
import type { AgentFor } from '../client/transport.ts';
import { makeCertificate } from './certificate.ts';

export type Site = (request: IncomingMessage, response: ServerResponse) => void;

export interface Internet {
  /** `<host>:<port>` of each CONNECT that the proxy was asked for. */
  readonly connected: string[];
  /** Through the proxy, and trusting its hosts. */
  readonly agentFor: AgentFor;
  close(): Promise<void>;
}

/**
 * Hosts that say what a test wants them to say under their real names: a proxy on this machine (CONNECT, as
 * `HTTPS_PROXY` names one) leads all of them to one server with a certificate for each. Nothing leaves the machine.
 * @param sites host, with its port where it is not 443 -> what answers there; `http://host` without encryption
 */
export async function startInternet(sites: Readonly<Record<string, Site>>): Promise<Internet> {
  const names = Object.keys(sites).map((site) => site.replace(/^http:\/\//, '').replace(/:\d+$/, ''));
  const certificate = await makeCertificate([...new Set(names)]);
  const directory = await mkdtemp(join(tmpdir(), 'towpath-certs-'));
  const connected: string[] = [];
  const answer = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    const site = sites[`${scheme}${request.headers.host ?? ''}`];
    if (site === undefined) response.writeHead(404).end();
    else site(request, response);
  };
  const secure = createServer(certificate, answer(''));
  const plain = createProxy(answer('http://'));
  const proxy = createProxy((_, response) => response.writeHead(405).end());
  proxy.on('connect', (request, socket) => {
    connected.push(request.url ?? '');
    const inner = (request.url ?? '').endsWith(':80') ? plain : secure;
    const target = connect((inner.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    for (const end of [socket, target]) end.on('error', () => [socket, target].map((one) => one.destroy()));
  });
  const servers = [secure, plain, proxy];
  for (const server of servers) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  for (const site of Object.keys(sites).filter((name) => !name.startsWith('http:'))) {
    await mkdir(join(directory, site));
    await writeFile(join(directory, site, 'ca.crt'), certificate.cert);
  }
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const agentFor = outsideAgents({
    environment: { HTTPS_PROXY: address, HTTP_PROXY: address, NO_PROXY: 'direct.test' },
    certificates: directory,
  });
  return {
    connected,
    agentFor,
    close: async () => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}
