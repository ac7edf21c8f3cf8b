import { request } from 'undici';
import { z } from 'zod';

import { hasCode } from '../../../lib/error.ts';
import { readUpTo } from '../../../lib/read-up-to.ts';
import { CheckError } from '../../error.ts';
import type { OutsideServer } from '../../server.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 20_000;
/** As many as one page gives. */
const ANALYSES = 500;

const Analyses = z.object({ analyses: z.array(z.object({ key: z.string(), revision: z.string().optional() })) });

const Gate = z.object({
  projectStatus: z.object({
    /** `OK`, `ERROR`, `NONE`: no gate was computed. */
    status: z.string(),
    conditions: z
      .array(
        z.object({
          status: z.string(),
          metricKey: z.string(),
          comparator: z.string().optional(),
          errorThreshold: z.string().optional(),
          actualValue: z.string().optional(),
        }),
      )
      .default([]),
  }),
});

const Work = z.object({
  queue: z.array(z.unknown()).default([]),
  current: z.object({ status: z.string(), errorMessage: z.string().optional() }).optional(),
});

export type Gate = z.output<typeof Gate>['projectStatus'];

/** What a check asks of SonarQube (web API of 9.9 and later) and SonarQube Cloud. Each call @throws CheckError */
export interface SonarApi {
  /** The newest analysis of a commit; null when there is none, also for a project that is not there yet. */
  analysisOf(project: string, branch: string | undefined, commit: string): Promise<string | null>;
  gateOf(analysis: string): Promise<Gate>;
  /** What happens to the reports that scanners have sent. */
  workOn(project: string): Promise<'none' | 'under way' | 'failed'>;
}

export function sonarApi(server: OutsideServer, signal: AbortSignal): SonarApi {
  const get = <Answer>(path: string, query: Record<string, string>, schema: z.ZodType<Answer>) =>
    ask(server, path, new URLSearchParams(query), schema, signal);
  return {
    async analysisOf(project, branch, commit) {
      const query = { project, ...(branch === undefined ? {} : { branch }), ps: String(ANALYSES) };
      const found = await get('api/project_analyses/search', query, Analyses);
      return found?.analyses.find(({ revision }) => revision === commit)?.key ?? null;
    },
    async gateOf(analysisId) {
      const gate = await get('api/qualitygates/project_status', { analysisId }, Gate);
      if (gate === null) throw unavailable(server.url, 'it has lost an analysis that it named before');
      return gate.projectStatus;
    },
    async workOn(component) {
      const work = await get('api/ce/component', { component }, Work);
      if (work === null) return 'none';
      if (work.queue.length > 0) return 'under way';
      return work.current?.status === 'FAILED' ? 'failed' : 'none';
    },
  };
}

/** @returns null for what is not there */
async function ask<Answer>(
  server: OutsideServer,
  path: string,
  query: URLSearchParams,
  schema: z.ZodType<Answer>,
  signal: AbortSignal,
): Promise<Answer | null> {
  const url = new URL(`${path}?${query.toString()}`, server.url.replace(/\/*$/, '/'));
  // the token as a user name: what every version takes
  const authorization = `Basic ${Buffer.from(`${await server.token()}:`).toString('base64')}`;
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: server.agentFor(url),
      headers: { authorization, accept: 'application/json', 'user-agent': 'towpath' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const bytes = await readUpTo(body, MAX_BYTES);
    if (statusCode === 404) return null;
    if (statusCode === 401 || statusCode === 403) throw refused(server.url, statusCode);
    if (statusCode !== 200) throw unavailable(server.url, `it answered ${statusCode}`);
    if (bytes === null) throw unavailable(server.url, `it answered more than ${MAX_BYTES / 1024 / 1024} MiB`);
    const answer = schema.safeParse(JSON.parse(bytes.toString('utf8')));
    if (!answer.success) throw unavailable(server.url, `it answered ${path} in another shape than SonarQube does`);
    return answer.data;
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, 'check.server-unavailable', 'check.server-refused', 'outgoing.refused')) throw error;
    if (error instanceof SyntaxError) throw unavailable(server.url, 'it answered something that is not JSON');
    throw unavailable(server.url, `it does not answer (${reasonOf(error)})`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function refused(url: string, status: number): CheckError {
  return new CheckError({
    code: 'check.server-refused',
    what: `SonarQube at ${url} refused the token (${status}).`,
    fix: 'Make a token of a user who may browse the project, and put it where `servers.sonar.token` in towpath.yaml points.',
  });
}

function unavailable(url: string, why: string): CheckError {
  return new CheckError({
    code: 'check.server-unavailable',
    what: `SonarQube at ${url} cannot be asked: ${why}.`,
    fix: 'It is asked again. See that it runs, and that `servers.sonar.url` in towpath.yaml is its address.',
  });
}
