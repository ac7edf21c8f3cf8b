import { missingText } from '../flow/view/environment.ts';
import { hasCode, problemOf } from '../lib/error.ts';
import type { Answer } from '../http/contract.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { broken, type Finding, good, missing } from './finding.ts';
import { ago } from './text.ts';

/** More than that, and freeze windows, soaks and expiries come at another time than people think. */
const CLOCK_MS = 5_000;

/** What can be asked of the server that this command line works with; that none runs yet is no fault. */
export async function lookAtServer(context: Context): Promise<Finding[]> {
  try {
    const client = await context.client();
    const { version } = await client.call('server.health');
    const me = await client.call('access.me');
    const found = good('server', `${client.server}, version ${version}; you are ${me.user} (${me.roles.join(', ')})`);
    const matrix = await client.call('matrix.read', { query: {} });
    const asked = clock(context, matrix);
    return [found, asked, await registry(context, client), images(matrix), ...(await repositories(context, client))];
  } catch (error) {
    const { what, fix } = problemOf(error);
    return [hasCode(error, 'cli.server-unreachable') ? missing('server', what, fix) : broken('server', what, fix)];
  }
}

function clock({ io }: Context, { at }: Matrix): Finding {
  const offMs = Math.abs(Date.parse(at) - io.clock.now());
  if (offMs <= CLOCK_MS) return good('clock', 'as the server has it');
  const what = `The clocks of this machine and of the server are ${Math.round(offMs / 1000)} s apart.`;
  return missing(
    'clock',
    what,
    'Let both keep time by NTP: soaks, freeze windows and expiries go by the clock of the server.',
  );
}

/** What environments need and the registry has not: rather found now than when it is needed. */
function images({ projects }: Matrix): Finding {
  const gone = projects.flatMap(({ name, environments }) =>
    environments.flatMap((environment) =>
      environment.missing.map((image) => `${name}/${environment.name}: ${missingText(image)}`),
    ),
  );
  if (gone.length === 0) return good('images', 'What runs and what can be rolled back to is in the registry.');
  return broken('images', gone.join(' '), 'Bring it back from a backup of the registry, by its digest.');
}

async function registry({ io }: Context, { server }: Client): Promise<Finding> {
  const answer = await fetch(`${server}/v2/`, { redirect: 'error', signal: io.signal }).catch(() => null);
  if (answer?.status === 200 || answer?.status === 401) return good('registry', `${server}/v2/`);
  if (answer?.status === 404) return good('registry', 'one of your own');
  return broken(
    'registry',
    `${server}/v2/ does not answer as a registry.`,
    'Let the proxy before the server pass on /v2/ unchanged.',
  );
}

async function repositories({ io }: Context, client: Client): Promise<Finding[]> {
  const projects = await client.call('project.list');
  if (projects.length === 0)
    return [missing('projects', 'The server watches no project yet.', 'Add one: `towpath project add URL`.')];
  const found = projects.flatMap(({ name, repositories }) =>
    repositories.flatMap((repository) => aboutRepository(name, repository, io.clock.now())),
  );
  return [...found, ...(await Promise.all(projects.map(({ name }) => channels(client, name)))).flat()];
}

/** Only those by which telling does not go well. */
async function channels(client: Client, project: string): Promise<Finding[]> {
  const all = await client.call('channel.list', { params: { project } });
  return all.flatMap(({ name, problem, waiting, givenUp }) => {
    if (problem === null) return [];
    const what = `${problem.what} ${waiting} to be told, ${givenUp} given up.`;
    return [missing(`channel ${name} of ${project}`, what, `${problem.fix} \`towpath notify test ${name}\` tries it.`)];
  });
}

type Matrix = Answer<'matrix.read'>;
type Repository = Answer<'project.list'>[number]['repositories'][number];

function aboutRepository(project: string, repository: Repository, now: number): Finding[] {
  const { url, polledAt, credential, webhook, notices, problem, configProblem } = repository;
  const part = `project ${project}`;
  if (problem !== null) return [broken(part, problem.what, problem.fix)];
  const seen = polledAt === null ? 'not looked at yet' : `looked at ${ago(polledAt, now)}`;
  const by = credential === null ? '' : `, with ${credential}`;
  const hook =
    webhook.secret === null ? 'no webhook: changes are seen when it is looked at next' : `webhook at ${webhook.path}`;
  const found = good(part, `${url}, ${seen}${by}; ${hook}`);
  const untold = notices.problem;
  return [
    found,
    ...(configProblem === null ? [] : [broken(part, configProblem.what, configProblem.fix)]),
    ...(untold === null ? [] : [missing(`git host of ${project}`, untold.what, untold.fix)]),
  ];
}
