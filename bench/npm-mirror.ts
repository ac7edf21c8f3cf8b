import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface NpmMirror {
  /** Ends with a slash. */
  readonly url: string;
  stop(): void;
}

/** A caching mirror of an npm registry: every contender fetches from the same place, at the same speed. */
export async function startNpmMirror(upstream: string, directory: string): Promise<NpmMirror> {
  const child = spawn(process.execPath, ['bench/npm-mirror-process.js', upstream, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  for await (const url of createInterface({ input: child.stdout })) return { url, stop: () => child.stdin.end() };
  throw new Error('The npm mirror did not start.');
}
