import { posix } from 'node:path';

import { z } from 'zod';

import type { RunResult, TaskSpec } from '../../../container/runtime.ts';
import type { TreeEntry } from '../../../git/tree.ts';
import { hashOfJson } from '../../../lib/digest.ts';
import { Command, LimitsField, VariableName } from '../../../lib/fields.ts';
import { variablesOfParts } from '../../backing.ts';
import { rootsOfKept } from '../../kept-files.ts';
import { checkKind, type CheckAnswer, type CheckRequest } from '../../kind.ts';
import { REPORT_LIMIT_BYTES } from '../../report/report.ts';
import { keepFiles } from './kept.ts';
import { besideOf, isThere, isWithin, MountField, mountsOf, rootsOf, testsOf } from './mounted.ts';
import { pactFields, sayPacts } from './pacts.ts';
import { reportFields, reportsOf, type Said, type Scene } from './reports.ts';
import { writeTestsFolder } from './tests-folder.ts';

const fields = {
  run: Command.describe('A program with its arguments, run in the image; no shell'),
  mount: MountField,
  ...reportFields,
  ...pactFields,
  limits: LimitsField.optional().describe('What it may use, as far as the runner can hold it to that'),
  env: z.record(VariableName, z.string()).default({}).describe('Variables of the program'),
};

type Definition = z.output<z.ZodObject<typeof fields>>;

/**
 * A program run in the artifact's own image, with the tests mounted over it: what is released stays clean of them.
 * Its exit code is the answer, and no report that it writes may say otherwise.
 */
export const command = checkKind({
  name: 'command',
  version: '1',
  fields,
  during: ['release', 'build', 'deployment'],
  hasParts: true,
  hasFiles: true,
  inputs: ({ mount }, source) => testsOf(source, mount),
  compares: ({ coverage, performance }) => ({
    changes: coverage?.changed !== undefined,
    baseline: performance?.baseline?.environment ?? null,
  }),
  contracts: ({ pacts }) => (pacts === undefined ? null : 'writes'),
  async ask(request, { runner, image, directory }) {
    const { definition, source, parts, keeper, log, signal, timeoutMs } = request;
    const absent = definition.mount?.find((root) => !isThere(source, root));
    if (absent !== undefined) return { verdict: 'error', summary: `the service has no "${absent}" to mount` };
    const wanted = reportsOf(definition);
    const { pacts } = definition;
    const reports = [...wanted.map(({ path }) => posix.dirname(path)), ...(pacts === undefined ? [] : [pacts.in])];
    const written = [...new Set([...reports, ...rootsOfKept(keeper?.patterns ?? [])])];
    const hidden = written.find(
      (folder) => isThere(source, folder) && !rootsOf(definition.mount).some((root) => isWithin(folder, root)),
    );
    if (hidden !== undefined)
      return { verdict: 'error', summary: `what it writes would hide the service's own folder "${hidden}"` };
    const under = await image(request.service, request.digest, signal);
    const tests = testsOf(source, definition.mount);
    const scene = { ...(await sceneOf(request, tests)), workdir: under.config.workdir || '/' };
    const folder = await writeTestsFolder(directory, source, tests, written);
    try {
      const spec: TaskSpec = {
        name: request.name,
        image: under,
        argv: definition.run,
        env: variablesOf(request),
        workdir: scene.workdir,
        mounts: mountsOf(source, definition.mount, folder.path, scene.workdir, written),
        beside: parts.map(besideOf),
        labels: { 'dev.towpath.check': request.check },
        ...(definition.limits === undefined ? {} : { limits: definition.limits }),
        ...(Object.keys(request.urls).length === 0 ? {} : { network: 'host' as const }), // URLs are on this machine
      };
      const result = await runner.run(spec, { log, signal, timeoutMs });
      const said = await Promise.all(
        wanted.map(async (report) => {
          const read = await folder.read(report.path, REPORT_LIMIT_BYTES);
          return 'wrong' in read ? report.unread(read.wrong) : report.say(read.text, scene);
        }),
      );
      if (pacts !== undefined) said.push(await sayPacts(folder, pacts, request));
      const { notHeld } = result;
      const ran = { runner: runner.name, isolates: runner.isolates, ...(notHeld === undefined ? {} : { notHeld }) };
      const kept = keeper === undefined ? undefined : await keepFiles(folder.path, keeper, log);
      return { ...answerOf(result, said), ran, ...(kept === undefined ? {} : { kept }) };
    } finally {
      // the program may have made folders that only its own user may empty: that is no reason to lose its answer
      await folder.remove().catch(() => log(`note: the folder of the tests could not be removed: ${folder.path}`));
    }
  },
});

/** @param said what each report says that was asked for */
export function answerOf(result: RunResult, said: readonly Said[]): CheckAnswer {
  const lost = result.lost ?? [];
  const answer = judgedWith(lost, judged(result, said));
  if (result.notHeld === undefined) return answer;
  const limits = result.notHeld.map((limit) => (limit === 'memoryMb' ? 'memory' : limit)).join(' and ');
  return { ...answer, summary: `${answer.summary} (this machine cannot limit its ${limits})` };
}

/** Without what it needs a program does not fail by itself. */
function judgedWith(lost: readonly string[], answer: CheckAnswer): CheckAnswer {
  if (lost.length === 0 || answer.verdict === 'passed') return answer;
  return { ...answer, verdict: 'error', summary: `${answer.summary} (${lost.join(' and ')} ended while it ran)` };
}

function judged(result: RunResult, said: readonly Said[]): CheckAnswer {
  const told = Object.assign({}, ...said.map((one) => one.told)) as Said['told'];
  const read = said.filter(({ told: what }) => Object.keys(what).length > 0).map(({ words }) => words);
  const also = read.length === 0 ? '' : `: ${read.join('; ')}`;
  if (result.kind === 'unready') return { verdict: 'error', summary: result.why };
  if (result.kind === 'timed-out') return { verdict: 'error', summary: 'it was not done in time', ...told };
  if (result.kind === 'out-of-memory')
    return { verdict: 'error', summary: `it was ended: out of memory${also}`, ...told };
  if (result.kind === 'killed')
    return { verdict: 'error', summary: `it was ended by ${result.signal}${also}`, ...told };
  if (result.code !== 0)
    return { verdict: 'failed', summary: `it ended with exit code ${result.code}${also}`, ...told };
  const worst = (['failed', 'error'] as const).find((verdict) => said.some((one) => one.verdict === verdict));
  if (worst === undefined)
    return { verdict: 'passed', summary: read.length === 0 ? 'it ended with exit code 0' : read.join('; '), ...told };
  const why = said.filter(({ verdict }) => verdict === worst).map(({ words }) => words);
  return { verdict: worst, summary: `it ended with exit code 0, but ${why.join('; ')}`, ...told };
}

/** Tests are no part of what is measured: that they ran says nothing. */
async function sceneOf(
  { definition, source, parts, changed, baseline }: CheckRequest<Definition>,
  tests: readonly TreeEntry[],
): Promise<Omit<Scene, 'workdir'>> {
  const isTest = new Set(tests.map(({ path }) => path));
  const load = hashOfJson({
    run: definition.run,
    env: definition.env,
    tests: tests.map(({ mode, oid, path }) => [mode, oid, path]),
    parts: parts.map(({ name, digest }) => [name, digest]),
  });
  return {
    files: source.entries.flatMap(({ path }) => (isTest.has(path) ? [] : [path])),
    changed: await changed?.(),
    baseline: (await baseline?.(load)) ?? null,
    load,
  };
}

function variablesOf({ definition, check, service, urls, parts }: CheckRequest<Definition>): Record<string, string> {
  const own = urls[service];
  return {
    CI: 'true',
    TOWPATH_CHECK: check,
    TOWPATH_SERVICE: service,
    ...(own === undefined ? {} : { TOWPATH_URL: own }),
    ...Object.fromEntries(Object.entries(urls).map(([name, url]) => [urlVariable(name), url])),
    ...variablesOfParts(parts),
    ...definition.env,
  };
}

/** `node-api` is told as `TOWPATH_URL_NODE_API`. */
function urlVariable(service: string): string {
  return `TOWPATH_URL_${service.toUpperCase().replaceAll('-', '_')}`;
}
