import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { z } from 'zod';

import type { Clock } from '../../lib/clock.ts';
import type { Credential, ExecProgram } from './access.ts';
import { badConfig, noCredential } from './kubernetes-error.ts';

const run = promisify(execFile);
const TIME_MS = 30_000;
const MOST_OUTPUT = 256 * 1024;
/** A token is renewed this long before it ends: a call may be on its way for a while. */
const EARLY_MS = 60_000;

const Answer = z.object({
  status: z.object({
    token: z.string().min(1).optional(),
    expirationTimestamp: z.iso.datetime({ offset: true }).optional(),
  }),
});

export interface TokenSource {
  /** @returns null where there is none @throws KubernetesError `kubernetes.credential`, `kubernetes.config` */
  token(): Promise<string | null>;
  /** The cluster did not take it: the next one is asked for anew. @returns false where that changes nothing */
  forget(): boolean;
}

/** @param environment of the server; what is meant for Towpath alone is not handed on */
export function tokenSource(
  credential: Credential,
  { environment, clock }: { readonly environment: Readonly<Record<string, string | undefined>>; readonly clock: Clock },
): TokenSource {
  let known: Promise<{ readonly token: string; readonly until: number | null }> | undefined;
  switch (credential.kind) {
    case 'none':
      return { token: () => Promise.resolve(null), forget: () => false };
    case 'token':
      return { token: () => Promise.resolve(credential.token), forget: () => false };
    case 'token-file':
      return {
        token: async () => {
          const text = await readFile(credential.path, 'utf8').catch(() => {
            throw badConfig(credential.path, 'the token cannot be read');
          });
          return text.trim();
        },
        forget: () => true,
      };
    case 'program':
      return {
        token: async () => {
          const last = await known?.catch(() => undefined);
          if (last === undefined || (last.until !== null && last.until - EARLY_MS <= clock.now()))
            known = askProgram(credential.program, environment);
          return (await known)?.token ?? null;
        },
        forget: () => {
          known = undefined;
          return true;
        },
      };
    default:
      return credential satisfies never;
  }
}

async function askProgram(
  { apiVersion, command, args, env, cluster }: ExecProgram,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly token: string; readonly until: number | null }> {
  const spec = { interactive: false, ...(cluster === null ? {} : { cluster }) };
  const inherited = Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('TOWPATH_')));
  const { stdout } = await run(command, args, {
    env: {
      ...inherited,
      ...env,
      KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion, kind: 'ExecCredential', spec }),
    },
    timeout: TIME_MS,
    killSignal: 'SIGKILL',
    maxBuffer: MOST_OUTPUT,
    encoding: 'utf8',
  }).catch((error: { code?: unknown; killed?: boolean }) => {
    // what it printed may hold a token
    throw noCredential(command, error.killed === true ? 'it took too long' : `it ended with ${String(error.code)}`);
  });
  const answer = Answer.safeParse(jsonOf(stdout));
  const token = answer.data?.status.token;
  if (token === undefined) throw noCredential(command, 'it printed no ExecCredential with a token');
  const until = answer.data?.status.expirationTimestamp;
  return { token, until: until === undefined ? null : Date.parse(until) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
