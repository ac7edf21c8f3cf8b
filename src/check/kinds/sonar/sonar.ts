import { z } from 'zod';

import { CheckError } from '../../error.ts';
import { checkKind, type CheckAnswer } from '../../kind.ts';
import { type Gate, sonarApi } from './api.ts';

const Key = z
  .string()
  .min(1, 'the key of a project in SonarQube')
  .max(400, 'a key of at most 400 characters')
  .regex(/^[^\s\p{Cc}]+$/u, 'a key without spaces');

const fields = {
  sonar: z
    .union(
      [
        Key.transform((project) => ({ project, branch: undefined })),
        z.strictObject({
          project: Key,
          branch: z.string().min(1).optional().describe('Its branch there (the main one)'),
        }),
      ],
      'the key of a project in SonarQube',
    )
    .describe('The project in SonarQube whose quality gate is asked'),
};

/**
 * The quality gate that SonarQube computed for the commit. A scanner has sent the analysis, from wherever; the gate's verdict
 * is the answer. While there is no analysis of the commit there is no answer, and it is asked again.
 */
export const sonar = checkKind({
  name: 'sonar',
  version: '1',
  fields,
  during: ['release'],
  inputs: () => [],
  async ask({ definition, commit, log, signal }, { sonar: server }) {
    if (server === null) throw noServer();
    const { project, branch } = definition.sonar;
    const api = sonarApi(server, signal);
    const analysis = await api.analysisOf(project, branch, commit);
    if (analysis === null) throw notYet(project, commit, await api.workOn(project));
    const gate = await api.gateOf(analysis);
    for (const { metricKey, status, actualValue = 'no value' } of gate.conditions)
      log(`${metricKey}: ${actualValue} ${status}`);
    return answerOf(gate);
  },
});

/** Every state but `OK` and `ERROR` says that nothing was found out. */
export function answerOf({ status, conditions }: Gate): CheckAnswer {
  if (status === 'OK') return { verdict: 'passed', summary: 'the quality gate passed' };
  if (status !== 'ERROR') return { verdict: 'error', summary: `SonarQube computed no quality gate (${status})` };
  const broken = conditions.filter((condition) => condition.status === 'ERROR').map(spoken);
  return { verdict: 'failed', summary: ['the quality gate failed', broken.join('; ')].filter(Boolean).join(': ') };
}

const LIMITS: Readonly<Record<string, string>> = { GT: 'at most', LT: 'at least' };

function spoken({ metricKey, actualValue, comparator = '', errorThreshold }: Gate['conditions'][number]): string {
  const limit = LIMITS[comparator];
  const wanted = limit === undefined || errorThreshold === undefined ? '' : `, ${limit} ${errorThreshold}`;
  return `${metricKey} is ${actualValue ?? 'unknown'}${wanted}`;
}

function notYet(project: string, commit: string, work: 'none' | 'under way' | 'failed'): CheckError {
  const also = {
    none: '',
    'under way': '; a report is being worked on there',
    failed: '; the last report that was sent there could not be worked on',
  };
  return new CheckError({
    code: 'check.not-yet',
    what: `SonarQube has no analysis of commit ${commit.slice(0, 7)} in ${project}${also[work]}.`,
    fix: `Run the scanner for this commit, with \`sonar.scm.revision=${commit}\` where it does not see git. It is asked again.`,
  });
}

function noServer(): CheckError {
  return new CheckError({
    code: 'check.no-server',
    what: 'No SonarQube is named by towpath.yaml on the default branch.',
    fix: 'Write `servers: { sonar: { url: https://..., token: env:SONAR_TOKEN } }` there. Other branches cannot name one.',
  });
}
