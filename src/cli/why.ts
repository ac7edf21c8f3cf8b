import { EXIT } from './exit.ts';
import { reasonText } from './promotion-answer.ts';
import { needs, type Verb } from './verb.ts';

export const why: Verb = (program, run) => {
  program
    .command('why')
    .description('say what something waits for, why it was refused, or how it came to run')
    .argument('<subject>', 'an environment, a promotion or a release')
    .addHelpText('after', needs('path.why'))
    .action(
      run(async (context, _options, subject = '') => {
        const client = await context.client();
        const project = await context.project();
        const answer = await client.call('path.why', { params: { project }, query: { subject } });
        context.out.data(answer, ({ headline, reasons, story }) =>
          [
            context.out.paint('bold', headline),
            ...reasons.map(reasonText),
            ...story.map(({ at, what }) => `${context.out.paint('dim', at)}  ${what}`),
          ].join('\n'),
        );
        return EXIT.ok;
      }),
    );
};
