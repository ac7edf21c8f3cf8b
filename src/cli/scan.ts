import { usage } from './cli-error.ts';
import { duration, type Verb } from './verb.ts';

const LIMIT_MS = 7 * 86_400_000;
const HERE = '\nWorks on the advisories of this machine: run it where the server runs. Needs no server.';

export const scan: Verb = (program, run) => {
  const group = program.command('scan').description('what scans for vulnerabilities look into: db status, db update');
  const db = group
    .command('db')
    .description('the advisories of this machine: status, update')
    .addHelpText('after', HERE);

  db.command('status')
    .description('how old the advisories are, what they have and whence, and what to do')
    .option('--max-age <duration>', 'how old they may be: as `maxAge` of your checks says', duration, LIMIT_MS)
    .addHelpText('after', `${HERE} Exit codes: 0 they are new enough, 1 they are not, or there are none.`)
    .action(
      run<{ maxAge: number }>(async (context, { maxAge }) =>
        (await import('./without-server/scan.ts')).advisoriesStatus(context, maxAge),
      ),
    );

  db.command('update')
    .description('fetch the advisories again, and put them in place when they are whole')
    .argument('[ecosystem...]', `what to fetch from now on, such as npm or Debian; else what was fetched before`)
    .option('--mirror <url>', 'where to fetch it from now on, as URL/ECOSYSTEM/all.zip; else osv.dev', mirror)
    .addHelpText('after', HERE)
    .action(
      run<{ mirror?: string }>(async (context, { mirror: at }, ...names) => {
        const named = names.flatMap((name) => name ?? []);
        return (await import('./without-server/scan.ts')).updateHere(context, named, at);
      }),
    );
};

function mirror(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.password !== '' ||
    url.username !== '' ||
    url.search !== ''
  )
    throw usage(
      `"${text.slice(0, 100)}" is no address of advisories.`,
      'Give one such as https://mirror.example.org/osv.',
    );
  return `${url.href.replace(/\/+$/, '')}/`;
}
