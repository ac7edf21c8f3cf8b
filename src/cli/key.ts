import type { SigningKeyView } from '../flow/view/key.ts';
import { usage } from './cli-error.ts';
import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const key: Verb = (program, run) => {
  const group = program
    .command('key')
    .description('keys that sign statements: list, export, rotate, revoke')
    .addHelpText('after', needs('key.list', 'key.rotate'));

  group
    .command('list')
    .description('the keys there are and were, the newest first')
    .addHelpText('after', needs('key.list'))
    .action(
      run(async (context) => {
        context.out.data(await (await context.client()).call('key.list'), keysText);
        return EXIT.ok;
      }),
    );

  group
    .command('export')
    .description('print the public key that signs now, in PEM; with --json all of them, with their state')
    .addHelpText('after', needs('key.list'))
    .action(
      run(async (context) => {
        const keys = await (await context.client()).call('key.list');
        const active = keys.find(({ state }) => state === 'active');
        if (context.out.json) context.out.data({ keys }, () => '');
        else if (active !== undefined) context.out.text(active.pem.trimEnd());
        return EXIT.ok;
      }),
    );

  group
    .command('rotate')
    .description('sign with a new key from now on; what the one before signed stays true')
    .addHelpText('after', needs('key.rotate'))
    .action(
      run(async (context) => {
        const keys = await (await context.client()).call('key.rotate');
        context.out.data(keys, keysText);
        context.out.note('Give the new public key to whoever verifies: `towpath key export`.');
        return EXIT.ok;
      }),
    );

  group
    .command('revoke')
    .description('let nothing count that a key signed; what it stated is signed anew')
    .argument('<key>', 'its hint, or the beginning of it, as `towpath key list` shows it')
    .requiredOption('--reason <text>', 'why: it is kept, and shown')
    .addHelpText('after', needs('key.revoke'))
    .action(
      run<{ reason: string }>(async (context, { reason }, name = '') => {
        if (reason.trim() === '') throw usage('A key is not revoked without a reason.', 'Say why with --reason.');
        const answer = await (await context.client()).call('key.revoke', { body: { key: name, reason } });
        context.out.data(answer, ({ keys }) => keysText(keys));
        context.out.note(
          `It is revoked. ${answer.signedAnew} statements are signed anew. Give whoever verifies the keys that count: \`towpath key export --json\`.`,
        );
        return EXIT.ok;
      }),
    );
};

function keysText(keys: readonly SigningKeyView[]): string {
  return table(
    keys.map(({ hint, state, since, until, revoked }) => [
      hint.slice(0, 16),
      state,
      `since ${since}`,
      until === null ? '' : `until ${until}`,
      revoked === null ? '' : `revoked ${revoked.at} by ${revoked.by}: ${revoked.reason}`,
    ]),
  );
}
