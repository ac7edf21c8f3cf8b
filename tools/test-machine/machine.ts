import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

import { inject } from 'vitest';

/**
 * The address of a real Docker Engine (`unix:///...`) that belongs to this test run alone; the first to ask starts it.
 * `TOWPATH_TEST_DOCKER_HOST` names one of your own instead, for machines where we may not start one.
 */
export function dockerHost(): Promise<string> {
  return addressOf('docker', process.env['TOWPATH_TEST_DOCKER_HOST']);
}

/**
 * The URL of an administrator of a real Postgres server that belongs to this test run alone; the first to ask starts it.
 * It is shared by all test files, so make a database of your own. `TOWPATH_TEST_POSTGRES_URL` names a server of your own instead.
 */
export function externalPostgresUrl(): Promise<string> {
  return addressOf('postgres', process.env['TOWPATH_TEST_POSTGRES_URL']);
}

/** The host (`127.0.0.1:port`) of Debian's registry, plain HTTP and open to all, that belongs to this test run alone. */
export function debianRegistryHost(): Promise<string> {
  return addressOf('registry', undefined);
}

export interface Swarm {
  /** The address of this machine that every engine reaches. */
  readonly gateway: string;
  /** Its engines, which are all managers. */
  readonly nodes: readonly SwarmEngine[];
}

export interface SwarmEngine {
  /** `unix:///...` */
  readonly host: string;
  readonly address: string;
  /** Holds the number of the engine's own process. */
  readonly pidFile: string;
  /** How it is started again. */
  readonly argv: readonly string[];
  readonly log: string;
}

/** A real Swarm of one manager, or of three, each engine in a network namespace of its own, that belongs to this test run alone. */
export async function swarmOf(managers: 1 | 3): Promise<Swarm> {
  return JSON.parse(await addressOf(managers === 1 ? 'swarm' : 'swarm3', undefined)) as Swarm;
}

/**
 * The path of a kubeconfig, with all rights, for a real Kubernetes API that belongs to this test run alone: with its controllers and
 * its scheduler, and with nodes that only pretend to run what they are given (`tools/kubernetes/kubelet.yaml`). All test files share
 * it, so make a namespace of your own. `TOWPATH_TEST_KUBECONFIG` names one of your own instead.
 */
export function kubernetesConfig(): Promise<string> {
  return addressOf('kubernetes', process.env['TOWPATH_TEST_KUBECONFIG']);
}

/** The kubeconfig of the same cluster, with the parts of Argo CD that deploy at work for applications in the namespace `argocd`. */
export function argocdConfig(): Promise<string> {
  return addressOf('argocd', process.env['TOWPATH_TEST_ARGOCD_KUBECONFIG']);
}

async function addressOf(service: string, given: string | undefined): Promise<string> {
  if (given !== undefined && given !== '') return given;
  const socket = connect(inject('keeperSocket'));
  socket.write(`${service}\n`);
  const answer = JSON.parse(await text(socket)) as { address?: string; error?: string };
  if (answer.address === undefined) throw new Error(answer.error ?? `The test service "${service}" gave no address.`);
  return answer.address;
}
