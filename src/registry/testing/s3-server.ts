import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { answering, freePort } from './debian-registry.ts';

export interface S3Server {
  readonly endpoint: string;
  /** Where the file of an object lies. */
  fileOf(bucket: string, key: string): string;
  close(): Promise<void>;
}

/** The keys that the server knows. */
export const CANARY_KEYS = { accessKeyId: 'TOWPATHTEST', secretAccessKey: 'canary/secret+of-the-bucket' };

/** S3 on a folder, by the s3s project: it checks signatures, checksums and preconditions. `buckets` are there from the start. */
export async function startS3Server(program: string, buckets: readonly string[]): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-s3-'));
  for (const bucket of buckets) await mkdir(join(directory, bucket));
  const port = await freePort();
  const { accessKeyId, secretAccessKey } = CANARY_KEYS;
  const argv = [
    '--host',
    '127.0.0.1',
    '--port',
    `${port}`,
    '--access-key',
    accessKeyId,
    '--secret-key',
    secretAccessKey,
  ];
  const child = spawn(program, [...argv, directory], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await answering(`127.0.0.1:${port}`);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    fileOf: (bucket, key) => join(directory, bucket, key),
    close: async () => {
      child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
