import { CONFIG_FILE } from '../config/config-file.ts';
import type { ImportOptions } from './without-server/gitops.ts';
import { collect, type Verb } from './verb.ts';

export const gitops: Verb = (program, run) => {
  const group = program.command('gitops').description('manifest repositories: import');
  group
    .command('import')
    .description('find the images in a manifest repository, and propose where each service stands')
    .argument('<repository>', 'its address, or the root of a clone on this machine')
    .option(
      '--branch <name>',
      'read this branch (again for more); else the default one, and those called as environments are',
      collect,
    )
    .option(
      '--config <file>',
      `the ${CONFIG_FILE} whose services are looked for; else the one in this folder, if there is one`,
    )
    .option('--credential <reference>', 'what the address is reached with: env:NAME or file:/path')
    .option('--write', `write a new ${CONFIG_FILE}; one that is there is never written over`)
    .addHelpText('after', '\nReads objects of git alone and needs no server. What is left out is said on stderr.')
    .action(
      run<ImportOptions>(async (context, options, repository = '') => {
        const { importManifests } = await import('./without-server/gitops.ts');
        return importManifests(context, options, repository);
      }),
    );
};
