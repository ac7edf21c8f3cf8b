import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';

import { cache, program } from './server.ts';

/** The address of an engine that is not there. */
export const NO_DOCKER = 'unix:///nowhere/docker.sock';

/** What went wrong is one line, so that the last lines of a log have it whole. */
export async function playDemo(
  docker: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  await mkdir(cache, { recursive: true });
  const child = spawn(process.execPath, [program, 'demo', '--ci', ...args], {
    env: environmentOfDemo(docker),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) console.error(stderr);
  return { code: code ?? -1, stdout, stderr: stderr.trim().replaceAll('\n', ' ') };
}

export function environmentOfDemo(docker: string): NodeJS.ProcessEnv {
  return { ...process.env, DOCKER_HOST: docker, TOWPATH_CACHE: cache };
}
