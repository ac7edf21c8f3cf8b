import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { checkSchema } from '../src/check/check.ts';
import { askCheck, checks } from '../src/check/checks.ts';
import type { CheckAnswer } from '../src/check/kind.ts';
import { memorySource } from '../src/check/testing/source.ts';
import { sha256 } from '../src/lib/digest.ts';
import { hasCode } from '../src/lib/error.ts';
import { until } from '../src/flow/testing/until.ts';
import { type SonarQube, startSonarQube } from './testing/sonar-qube.ts';

const GOOD = '4f2a91c0d3b5e6f708192a3b4c5d6e7f80912a3b';
const BAD = 'b7e6f708192a3b4c5d6e7f80912a3b4f2a91c0d3';
const PROJECT = 'shop:web';

let sonarQube: SonarQube;
let folder: string;
const agent = new Agent();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-scanned-'));
  sonarQube = await startSonarQube();
  await sonarQube.post('qualitygates/create', { name: 'no-bugs' });
  await sonarQube.post('qualitygates/create_condition', { gateName: 'no-bugs', metric: 'bugs', op: 'GT', error: '0' });
  await sonarQube.post('projects/create', { name: PROJECT, project: PROJECT });
  await sonarQube.post('qualitygates/select', { gateName: 'no-bugs', projectKey: PROJECT });
});
afterAll(async () => {
  await agent.destroy();
  await sonarQube?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a commit waits for its analysis, passes the quality gate, and fails it with a bug', async () => {
  await expect(ask(GOOD)).rejects.toMatchObject({ code: 'check.not-yet' });
  await writeFile(join(folder, 'add.js'), 'export const add = (a, b) => a + b;\n');
  await sonarQube.scan(folder, PROJECT, GOOD);
  expect(await answered(GOOD)).toEqual({ verdict: 'passed', summary: 'the quality gate passed' });
  await expect(ask(BAD)).rejects.toMatchObject({ code: 'check.not-yet' });
  await writeFile(join(folder, 'add.js'), 'export function add(a, b) {\n  a = a;\n  return a + b;\n}\n');
  await sonarQube.scan(folder, PROJECT, BAD);
  const failed = await answered(BAD);
  expect(failed.verdict).toBe('failed');
  expect(failed.summary).toContain('bugs is 1, at most 0');
  expect(await ask(GOOD)).toMatchObject({ verdict: 'passed' });
});

test('a token that it does not know is told, and a project that is not there has no analysis', async () => {
  await expect(ask(GOOD, PROJECT, 'squ_wrong')).rejects.toMatchObject({ code: 'check.server-refused' });
  await expect(ask(GOOD, 'no:such')).rejects.toMatchObject({ code: 'check.not-yet' });
});

async function answered(commit: string): Promise<CheckAnswer> {
  return until(
    async () => {
      try {
        return await ask(commit);
      } catch (error) {
        if (hasCode(error, 'check.not-yet')) return false;
        throw error;
      }
    },
    undefined,
    300_000,
  );
}

async function ask(commit: string, project = PROJECT, token = sonarQube.token): Promise<CheckAnswer> {
  const request = {
    check: 'quality',
    service: 'web',
    digest: sha256('web'),
    commit,
    source: memorySource({}),
    parts: [],
    urls: {},
    name: 'quality',
    log: () => undefined,
    signal: new AbortController().signal,
  };
  const sonar = { url: sonarQube.url, token: () => Promise.resolve(token), agentFor: () => agent };
  const none = (): Promise<never> => Promise.reject(new Error('SonarQube needs no image'));
  const runner = { name: 'host', isolates: false, run: none } as const;
  return askCheck(checkSchema(checks).parse({ sonar: project }), request, {
    runner,
    image: none,
    directory: folder,
    sonar,
  });
}
