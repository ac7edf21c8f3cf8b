import { isRole, ROLES, type Role } from '../access/permission.ts';
import { usage } from './cli-error.ts';
import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { collect, duration, needs, type Verb } from './verb.ts';

interface CreateOptions {
  readonly user: string;
  readonly role: readonly string[];
  readonly name?: string;
  readonly ttl?: number;
}

export const token: Verb = (program, run) => {
  const group = program.command('token').description('tokens: create, list, revoke');

  group
    .command('create')
    .description('create a token; its secret is printed this once')
    .requiredOption('--user <name>', 'who acts with it: approvals and the audit trail show this name')
    .requiredOption('--role <role>', `${Object.keys(ROLES).join(', ')}; may be repeated`, collect)
    .option('--name <text>', 'what it is for, to tell it from others')
    .option('--ttl <duration>', 'how long it lives, such as 90d; without it, until it is revoked', duration)
    .addHelpText(
      'after',
      `${needs('token.create')}\n\nWith --project it reaches that project alone; several: shop,docs.`,
    )
    .action(
      run<CreateOptions>(async (context, { user, role, name, ttl }) => {
        const roles = role.map(roleOf);
        const ttlSeconds = ttl === undefined ? undefined : Math.ceil(ttl / 1_000);
        const projects = context.common.project?.split(','); // by the option alone: a limit is not inherited
        const body = { user, roles, projects, name: name ?? `for ${user}`, ttlSeconds };
        const answer = await (await context.client()).call('token.create', { body });
        context.out.data(answer, ({ secret }) => secret);
        const reach = projects === undefined ? '' : `, in ${projects.join(', ')} alone`;
        context.out.note(
          `${answer.token.id} is for ${user} (${roles.join(', ')}${reach}). The secret is not shown again.`,
        );
        return EXIT.ok;
      }),
    );

  group
    .command('list')
    .description('tokens, without their secrets')
    .addHelpText('after', needs('token.list'))
    .action(
      run(async (context) => {
        const answer = await (await context.client()).call('token.list');
        context.out.data(answer, (tokens) =>
          table(
            tokens.map((row) => [
              row.id,
              row.user,
              row.roles.join(','),
              row.projects?.join(',') ?? 'all projects',
              row.name,
              endOf(row),
            ]),
          ),
        );
        return EXIT.ok;
      }),
    );

  group
    .command('revoke')
    .description('end a token at once')
    .argument('<token>', 'its id, as `towpath token list` shows it')
    .addHelpText('after', needs('token.revoke'))
    .action(
      run(async (context, _options, id = '') => {
        await (await context.client()).call('token.revoke', { params: { token: id } });
        context.out.note(`${id} is revoked.`);
        return EXIT.ok;
      }),
    );
};

function roleOf(text: string): Role {
  if (isRole(text)) return text;
  throw usage(`There is no role "${text}".`, `Choose among ${Object.keys(ROLES).join(', ')}.`);
}

function endOf({ expiresAt, revokedAt }: { expiresAt: string | null; revokedAt: string | null }): string {
  if (revokedAt !== null) return `revoked ${revokedAt}`;
  return expiresAt === null ? 'does not end' : `ends ${expiresAt}`;
}
