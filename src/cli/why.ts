import { EXIT } from './exit.ts';
import { reasonText } from './promotion-answer.ts';
import { subjectOf } from './subject.ts';
import { needs, type Verb } from './verb.ts';

export const why: Verb = (program, run) => {
  program
    .command('why')
    .description('say what something waits for, why it was refused, or how it came to run')
    .argument('<subject>', 'an environment, a promotion (`promotion 12`, or its id) or a release')
    .argument('[number]', 'after the word `promotion`: which one')
    .addHelpText('after', needs('path.why'))
    .action(
      run(async (context, _options, word = '', number) => {
        const subject = subjectOf(word, number);
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
