import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { needs, wholeNumber, type Verb } from './verb.ts';

export const audit: Verb = (program, run) => {
  program
    .command('audit')
    .description('show who did what, newest first')
    .argument('[subject]', 'a project, environment, promotion or release, by name or id')
    .option('--limit <count>', 'how many', wholeNumber, 20)
    .option('--cursor <text>', '`next` of the page before')
    .addHelpText('after', needs('audit.list'))
    .action(
      run<{ limit: number; cursor?: string }>(async (context, options, subject) => {
        const project = context.namedProject();
        const query = { ...options, ...(subject === undefined ? {} : { subject, ...(project && { project }) }) };
        const page = await (await context.client()).call('audit.list', { query });
        context.out.data(page, ({ items }) => table(items.map((row) => [row.at, row.actor, row.action, row.name])));
        if (page.next !== undefined) context.out.note(`There are more: --cursor ${page.next}`);
        return EXIT.ok;
      }),
    );
};
