import { z } from 'zod';

import type { OutsideServer } from '../../server.ts';
import { askOutside, type Outside, unavailableOf } from '../outside.ts';

const SONAR: Outside = {
  name: 'SonarQube',
  key: 'sonar',
  whose: 'a user who may browse the project',
  // the token as a user name: what every version takes
  authorization: (token) => `Basic ${Buffer.from(`${token}:`).toString('base64')}`,
};
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
  /** Null for what is not there. */
  const get = async <Answer extends object>(path: string, query: Record<string, string>, schema: z.ZodType<Answer>) => {
    const answer = await askOutside(server, SONAR, { path, query: new URLSearchParams(query), schema }, signal);
    if (answer === 400) throw unavailableOf(SONAR, server.url, 'it answered 400');
    return answer === 404 ? null : answer;
  };
  return {
    async analysisOf(project, branch, commit) {
      const query = { project, ...(branch === undefined ? {} : { branch }), ps: String(ANALYSES) };
      const found = await get('api/project_analyses/search', query, Analyses);
      return found?.analyses.find(({ revision }) => revision === commit)?.key ?? null;
    },
    async gateOf(analysisId) {
      const gate = await get('api/qualitygates/project_status', { analysisId }, Gate);
      if (gate === null) throw unavailableOf(SONAR, server.url, 'it has lost an analysis that it named before');
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
