import { isDiskFull } from '../lib/disk-full.ts';
import { hasCode } from '../lib/error.ts';
import { isTransient as isStoreTransient } from '../store/database.ts';

/** Codes of failures that may be gone at the next try: a server that was away, slow or busy. */
const CODES = [
  'git.unreachable',
  'git.timeout',
  'git.behind',
  'gitops.busy',
  'host.unreachable',
  'registry.unavailable',
  'registry.unreachable',
  'registry.throttled',
  'docker.unreachable',
  'swarm.no-leader',
  'proxy.no-answer',
  'proxy.port-taken',
];

/** True for what says nothing about the thing asked: worth a retry, never a verdict. */
export function isTransient(error: unknown): boolean {
  return hasCode(error, ...CODES) || isStoreTransient(error) || isDiskFull(error);
}
