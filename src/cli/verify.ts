import type { VerifyOptions } from './without-server/verify.ts';
import { collect, duration, type Verb } from './verb.ts';

export const verify: Verb = (program, run) => {
  program
    .command('verify')
    .description('decide without a server, by what is signed beside an image, whether it may go into an environment')
    .argument('<image>', 'HOST/PROJECT/SERVICE with a tag or a digest; with --offline the folder of an OCI layout')
    .requiredOption('--for <environment>', 'where it is to go')
    .requiredOption(
      '--key <file>',
      'keys that count: PEM, or what `towpath key export --json` wrote; may be repeated',
      collect,
    )
    .option('--revoked <file>', 'keys that do not count any more, whatever other files say; may be repeated', collect)
    .option('--name <project/service>', 'what Towpath calls it, where its repository is called otherwise')
    .option(
      '--max-age <duration>',
      'how old what the environment asks may be: bounds what a registry can hide',
      duration,
    )
    .option('--offline', 'use no network: the image is the folder of an OCI layout, with :TAG or @DIGEST')
    .addHelpText('after', '\nNeeds no server. Exit codes: 0 may go in, 3 refused, 75 waits, 1 could not be decided.')
    .action(
      run<VerifyOptions>(async (context, options, word = '') =>
        (await import('./without-server/verify.ts')).verifyImage(context, options, word),
      ),
    );
};
