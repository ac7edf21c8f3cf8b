import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { request as ask } from 'undici';
import { z } from 'zod';

import type { ImageOnMachine, RunResult, TaskSpec } from '../../../container/runtime.ts';
import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import { Command, LimitsField, VariableName, Wait } from '../../../lib/fields.ts';
import { quietPort } from '../../../lib/port.ts';
import { untilTrue } from '../../../lib/until.ts';
import { variablesOfParts } from '../../backing.ts';
import { type CheckAnswer, checkKind, type CheckRequest, type CheckTools } from '../../kind.ts';
import { besideOf, MountField, mountsOf, testsOf } from '../command/mounted.ts';
import { writeTestsFolder } from '../command/tests-folder.ts';
import { answerOfResults } from './results.ts';
import { whileServing } from './serving.ts';
import { verify } from './verifier.ts';

const Path = z.string().regex(/^\/[^\s\p{Cc}]*$/u, 'a path that begins with a slash');

const fields = {
  pact: z
    .strictObject({
      port: z.int().min(1).max(65_535).describe('Where the service listens, told to it as `PORT`'),
      ready: Path.default('/').describe('A path that is answered once it has started, whatever the answer (/)'),
      states: Path.optional().describe('Where it takes the state that an interaction begins in (nowhere)'),
      run: Command.optional().describe('What starts it in place of what the image says: its own code with states, say'),
      within: Wait.default(60_000).describe('How long it may take to start (1m)'),
      wait: Wait.default(5000).describe('For one answer (5s)'),
    })
    .describe('Verifies the pacts that other services have with this one'),
  mount: MountField,
  limits: LimitsField.optional().describe('What it may use, as far as the runner can hold it to that'),
  env: z.record(VariableName, z.string()).default({}).describe('Variables of the service'),
};

type Definition = z.output<z.ZodObject<typeof fields>>;

/**
 * A contract of a consumer with this service, verified by Pact's own verifier: the artifact's own image is started, and each
 * interaction of the pact is played to it. It is started anew for each pact, so that none meets the states of another.
 */
export const pact = checkKind({
  name: 'pact',
  type: 'contract',
  version: '1',
  fields,
  during: ['release'],
  hasParts: true,
  contracts: () => 'verifies',
  inputs: testsOfPact,
  async ask(request, tools) {
    if (request.pact === undefined) return { verdict: 'error', summary: 'there is no pact to verify' };
    return verified({ ...request, pact: request.pact }, tools);
  },
});

async function verified(
  request: CheckRequest<Definition> & { readonly pact: NonNullable<CheckRequest<Definition>['pact']> },
  { runner, image, directory }: CheckTools,
): Promise<CheckAnswer> {
  const { definition, source, log, signal, timeoutMs } = request;
  const { states, wait } = definition.pact;
  const under = await image(request.service, request.digest, signal);
  const folder = await writeTestsFolder(directory, source, testsOfPact(definition, source), []);
  const home = await mkdtemp(join(directory, 'pact-'));
  try {
    const file = join(home, 'pact.json');
    await writeFile(file, await request.pact.text());
    const onMachine = await quietPort('127.0.0.1');
    const url = `http://127.0.0.1:${onMachine}`;
    const spec = specOf(request, under, folder.path, onMachine);
    const { used, ended } = await whileServing(runner, spec, { log, signal, timeoutMs }, async (gone) => {
      const either = AbortSignal.any([signal, gone]);
      if (!(await isAnswered(`${url}${definition.pact.ready}`, definition.pact.within, either))) return 'silent';
      const wish = { provider: request.service, url, file, home, requestMs: wait };
      return { found: await verify({ ...wish, statesUrl: states === undefined ? null : `${url}${states}` }, request) };
    });
    if (used === 'silent')
      return { verdict: 'error', summary: `it did not answer within ${definition.pact.within / 1000} s of its start` };
    if (used === null) return endedEarly(ended);
    return judgedWith(ended, answerOfResults(used.found, request.pact));
  } finally {
    await Promise.all([rm(home, { recursive: true, force: true }), folder.remove()]);
  }
}

/** Nothing but the image runs, unless another program is to start it: that may be one of the tests. */
function testsOfPact({ pact: { run }, mount }: Definition, source: SourceTree): readonly TreeEntry[] {
  return run === undefined ? [] : testsOf(source, mount);
}

function specOf(
  { definition, name, check, source, parts }: CheckRequest<Definition>,
  image: ImageOnMachine,
  folder: string,
  onMachine: number,
): TaskSpec {
  const { port: inside, run } = definition.pact;
  const workdir = image.config.workdir || '/';
  return {
    name,
    image,
    ...(run === undefined ? {} : { argv: run, mounts: mountsOf(source, definition.mount, folder, workdir) }),
    env: { CI: 'true', TOWPATH_CHECK: check, ...variablesOfParts(parts), ...definition.env },
    workdir,
    beside: parts.map(besideOf),
    labels: { 'dev.towpath.check': check },
    serves: { inside, onMachine },
    ...(definition.limits === undefined ? {} : { limits: definition.limits }),
  };
}

function isAnswered(url: string, withinMs: number, signal: AbortSignal): Promise<boolean> {
  const tryIt = async (): Promise<boolean> => {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(1000)]);
    return ask(url, { signal: patience }).then(
      async ({ body }) => {
        await body.dump();
        return true;
      },
      () => false,
    );
  };
  return untilTrue(tryIt, { everyMs: 50, timeoutMs: withinMs, signal });
}

function endedEarly(ended: RunResult | null): CheckAnswer {
  return { verdict: 'error', summary: `it ended before it answered${howOf(ended)}` };
}

/** One that ends by itself while it is asked breaks its contract; one that was ended says nothing of it. */
function judgedWith(ended: RunResult | null, answer: CheckAnswer): CheckAnswer {
  if (ended === null || answer.verdict === 'passed') return answer;
  const isItsOwn = ended.kind === 'exited' && ended.lost === undefined;
  const summary = `${answer.summary} (it ended meanwhile${howOf(ended)})`;
  return { ...answer, summary, verdict: isItsOwn ? answer.verdict : 'error' };
}

function howOf(ended: RunResult | null): string {
  switch (ended?.kind) {
    case undefined:
      return '';
    case 'exited':
      return ` with exit code ${ended.code}`;
    case 'timed-out':
      return ', for it was not done in time';
    case 'out-of-memory':
      return ', for it was out of memory';
    case 'killed':
      return ` by ${ended.signal}`;
    case 'unready':
      return `: ${ended.why}`;
    default:
      return ended satisfies never;
  }
}
