import type { EnvironmentView } from '../flow/view/environment.ts';
import { EXIT } from './exit.ts';
import { needs, type Verb } from './verb.ts';

export const hold: Verb = (program, run) => {
  program
    .command('hold')
    .description('pin an environment: nothing moves in by itself until it is resumed')
    .argument('<environment>', 'which one')
    .requiredOption('--reason <text>', 'shown to everybody whom it stops')
    .addHelpText('after', needs('environment.hold'))
    .action(
      run<{ reason: string }>(async (context, { reason }, environment = '') => {
        const params = { project: await context.project(), environment };
        const answer = await (await context.client()).call('environment.hold', { params, body: { reason } });
        context.out.data(answer, holdText);
        return EXIT.ok;
      }),
    );
};

export const resume: Verb = (program, run) => {
  program
    .command('resume')
    .description('let a held environment move again')
    .argument('<environment>', 'which one')
    .addHelpText('after', needs('environment.resume'))
    .action(
      run(async (context, _options, environment = '') => {
        const params = { project: await context.project(), environment };
        const client = await context.client();
        const { hold: before } = await client.call('environment.show', { params });
        const answer = await client.call('environment.resume', { params });
        context.out.data(answer, before === null ? ({ name }) => `${name} was not on hold.` : holdText);
        return EXIT.ok;
      }),
    );
};

function holdText({ name, hold }: EnvironmentView): string {
  return hold === null ? `${name} moves again.` : `${name} is held by ${hold.by}: ${hold.reason}`;
}
