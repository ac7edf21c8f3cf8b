import type { PactPairView, PactView } from '../flow/view/pact.ts';
import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const pact: Verb = (program, run) => {
  const group = program.command('pact').description('what services expect of each other: list, matrix');

  group
    .command('list')
    .description('the pacts that are kept, the newest first')
    .addHelpText('after', needs('pact.list'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        context.out.data(await (await context.client()).call('pact.list', { params }), listText);
        return EXIT.ok;
      }),
    );

  group
    .command('matrix')
    .description('for each environment, whether what runs there keeps to what runs beside it expects')
    .addHelpText('after', needs('pact.matrix'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        context.out.data(await (await context.client()).call('pact.matrix', { params }), matrixText);
        return EXIT.ok;
      }),
    );
};

function listText(pacts: readonly PactView[]): string {
  if (pacts.length === 0) return 'No check has written a pact yet: one with `pacts: FOLDER` does.';
  return table(
    pacts.map(({ digest, consumer, provider, interactions, since }) => [
      digest.slice(0, 7),
      `${consumer} -> ${provider}`,
      `${interactions} ${interactions === 1 ? 'interaction' : 'interactions'}`,
      `since ${since}`,
    ]),
  );
}

function matrixText(pairs: readonly PactPairView[]): string {
  if (pairs.length === 0) return 'Nothing that runs expects anything of what runs beside it.';
  return table(
    pairs.map(({ environment, consumer, provider, pact: digest, check, verdict, summary }) => [
      environment,
      `${consumer} -> ${provider}`,
      digest.slice(0, 7),
      spoken(verdict, provider),
      [check, summary].filter((part) => part !== null).join(': '),
    ]),
  );
}

function spoken(verdict: PactPairView['verdict'], provider: string): string {
  switch (verdict) {
    case 'passed':
      return 'keeps to it';
    case 'failed':
      return 'BREAKS IT';
    case 'error':
      return 'could not be found out';
    case 'unanswered':
      return 'not asked yet';
    case 'no-check':
      return `no check of ${provider} says`;
    case 'no-provider':
      return `${provider} does not run there`;
    default:
      return verdict satisfies never;
  }
}
