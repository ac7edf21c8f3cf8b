import { EXIT } from './exit.ts';
import { needs, type Verb } from './verb.ts';

export const open: Verb = (program, run) => {
  program
    .command('open')
    .description('print a link that opens the page as you; it works once, for two minutes')
    .addHelpText('after', needs('session.invite'))
    .action(
      run(async (context) => {
        const client = await context.client();
        const { code, expiresAt } = await client.call('session.invite');
        // After the #: a browser sends that part to no server and into no log.
        context.out.data({ url: `${client.server}/#code=${code}`, expiresAt }, ({ url }) => url);
        return EXIT.ok;
      }),
    );
};
