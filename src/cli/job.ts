import { CliError, usage } from './cli-error.ts';
import { createClient } from './client.ts';
import type { Context } from './context.ts';
import { readSettings, tokenIn } from './settings.ts';

/** How the job of a CI shows who it is. */
export interface JobOptions {
  readonly oidcToken?: string;
  readonly oidcAudience?: string;
}

const ACTIONS_TIMEOUT_MS = 20_000;

/**
 * The same command with the token that the server gives for the job's identity token; as it is where a token of ours was
 * given, or the job has no identity. What is said outranks what is there: `--oidc-token`, `--token-file`,
 * `TOWPATH_OIDC_TOKEN`, `TOWPATH_TOKEN`, and last what GitHub Actions offers to each job that may ask.
 * @throws CliError `cli.identity-unavailable`; TowpathError of the server for a token that it does not take
 */
export async function asJob(context: Context, { oidcToken, oidcAudience }: JobOptions): Promise<Context> {
  const { io, common } = context;
  if (oidcToken !== undefined && common.tokenFile !== undefined)
    throw usage('Both --oidc-token and --token-file are given.', 'Give the one that the report is made with.');
  const offer = offerOf(context, oidcToken);
  if (offer === null) return context;
  const { server } = await readSettings(common, io);
  const token = await offer(oidcAudience ?? server);
  const stranger = createClient({ server, token: null }, io.signal);
  const { secret } = await stranger.call('identity.exchange', {
    body: { project: await namedProject(context), token },
  });
  const client = createClient({ server, token: secret }, io.signal);
  return { ...context, client: async () => client };
}

/** Gives an identity token for an audience. */
type Offer = (audience: string) => Promise<string>;

function offerOf({ io, common }: Context, file: string | undefined): Offer | null {
  const own = (name: string): string => io.env[name]?.trim() ?? '';
  if (file !== undefined) return () => tokenIn(file);
  if (common.tokenFile !== undefined) return null;
  if (own('TOWPATH_OIDC_TOKEN') !== '') return async () => own('TOWPATH_OIDC_TOKEN');
  if (own('TOWPATH_TOKEN') !== '') return null;
  const [url, bearer] = [own('ACTIONS_ID_TOKEN_REQUEST_URL'), own('ACTIONS_ID_TOKEN_REQUEST_TOKEN')];
  return url === '' || bearer === '' ? null : (audience) => askActions(url, bearer, audience, io.signal);
}

/** A token that reads nothing cannot ask which projects there are. */
async function namedProject(context: Context): Promise<string> {
  const named = context.namedProject();
  if (named !== undefined) return named;
  throw usage('A job has to say which project it reports to.', 'Name it with --project or TOWPATH_PROJECT.');
}

async function askActions(address: string, bearer: string, audience: string, signal: AbortSignal): Promise<string> {
  try {
    const url = new URL(address);
    url.searchParams.set('audience', audience);
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${bearer}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ACTIONS_TIMEOUT_MS)]),
    });
    const answer: unknown = response.ok ? await response.json() : null;
    if (typeof answer === 'object' && answer !== null && 'value' in answer && typeof answer.value === 'string')
      if (answer.value !== '') return answer.value;
    throw new Error(`it answered ${response.status}, and no token`);
  } catch (error) {
    throw new CliError(
      {
        code: 'cli.identity-unavailable',
        what: 'GitHub Actions gives no identity token for this job.',
        fix: 'Give the job `permissions: { id-token: write }`, or a token of Towpath as TOWPATH_TOKEN.',
      },
      { cause: error },
    );
  }
}
