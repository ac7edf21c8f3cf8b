import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { connectDocker } from '../src/container/docker/engine.ts';
import { dockerTaskRunner } from '../src/container/docker/task-runner.ts';
import type { ImageOnMachine, TaskSpec } from '../src/container/runtime.ts';
import { programPath } from '../tools/packages.js';
import { startDockerEngine } from '../tools/test-machine/docker-engine.js';
import { makePostgresImage } from '../tools/test-machine/image.ts';
import { pushTestImage } from '../tools/test-machine/oci-image.ts';
import { startRegistry } from '../tools/test-machine/registry.js';
import { alternate, type Figure, median } from './figure.ts';

const call = promisify(execFile);
const ROUNDS = 7;
const READY = ['pg_isready', '-h', '127.0.0.1', '-U', 'postgres'];
const QUESTION = ['psql', '-h', 'postgres', '-U', 'postgres', '-Atc', 'select 42'];

/**
 * From the wish to the first line of a check's program, with an empty Postgres beside it that is ready: by the task runner,
 * and by the `docker` commands that do the same by hand. What removes it all is not counted.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-check-'));
  const engine = await startDockerEngine(join(directory, 'docker'));
  const registry = await startRegistry(join(directory, 'registry'));
  try {
    const reference = await pushTestImage(registry.address, 'bench/postgres', await makePostgresImage());
    const environment = { ...process.env, DOCKER_HOST: engine.address };
    const docker = (...argv: string[]) => call(programPath('docker') ?? 'docker', argv, { env: environment });
    await docker('pull', reference);
    const config = { entrypoint: [], command: [], env: {}, workdir: '', user: '' };
    const byRunner = runnerOf(await connectDocker({ host: engine.address }), { reference, config });
    const times = await alternate(ROUNDS, [
      { name: 'runner', run: byRunner.begin, prepare: byRunner.ended },
      {
        name: 'hand',
        prepare: async () => {
          await byRunner.ended();
          await docker('rm', '--force', 'hand-postgres');
          await docker('network', 'rm', 'hand').catch(() => undefined); // at first there is none
        },
        async run() {
          await docker('network', 'create', 'hand');
          await docker(
            'run',
            '--detach',
            '--name=hand-postgres',
            '--network=hand',
            '--network-alias=postgres',
            reference,
          );
          while (!(await works(docker('exec', 'hand-postgres', ...READY)))) continue;
          await firstLine(['run', '--rm', '--network=hand', reference, ...QUESTION], environment);
        },
      },
    ]);
    await byRunner.ended();
    const [runner, hand] = [median(times.runner), median(times.hand)];
    return [
      { name: 'check.start.postgres', value: runner, unit: 'ms' },
      { name: 'check.start.postgres.by-hand', value: hand, unit: 'ms' },
      { name: 'check.start.postgres.ratio', value: runner / hand, unit: 'x', goal: { op: '<=', value: 1.5 } },
    ];
  } finally {
    await registry.stop();
    await engine.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** `begin` resolves with the first line of the program, `ended` when all of the run before is removed. */
function runnerOf(engine: Parameters<typeof dockerTaskRunner>[0], image: ImageOnMachine) {
  let before: Promise<unknown> = Promise.resolve();
  const spec: TaskSpec = {
    name: 'towpath-bench',
    image,
    argv: QUESTION,
    env: {},
    beside: [{ name: 'postgres', image, env: {}, port: 5432, ready: READY, readyWithinMs: 60_000 }],
  };
  return {
    begin: () =>
      new Promise<void>((resolve, reject) => {
        const log = (line: string): void => void (line === '42' && resolve());
        before = dockerTaskRunner(engine).run(spec, { log, signal: new AbortController().signal, timeoutMs: 60_000 });
        before.then(() => reject(new Error('It ended without an answer.')), reject);
      }),
    ended: async () => void (await before),
  };
}

async function firstLine(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(programPath('docker') ?? 'docker', argv, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
}

async function works(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
