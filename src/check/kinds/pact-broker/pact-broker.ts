import { z } from 'zod';

import { CheckError } from '../../error.ts';
import { type CheckAnswer, checkKind } from '../../kind.ts';
import { shorten } from '../../report/report.ts';
import { askOutside, type Outside } from '../outside.ts';

const Word = z
  .string()
  .min(1, 'a name')
  .max(200, 'a name of at most 200 characters')
  .regex(/^[^\p{Cc}]+$/u, 'a name without control characters');

const fields = {
  broker: z
    .strictObject({
      pacticipant: Word.describe('What the service is called there'),
      environment: Word.describe('What the environment is called there'),
    })
    .describe('Asks a Pact Broker whether the commit may go to an environment, as the broker knows it'),
};

const Application = z.object({ name: z.string(), version: z.object({ number: z.string() }).nullish() });

const Answer = z.object({
  summary: z.object({
    /** Null: not known. */
    deployable: z.boolean().nullable(),
    reason: z.string().default(''),
    failed: z.number().default(0),
  }),
  matrix: z
    .array(
      z.object({
        consumer: Application,
        provider: Application,
        verificationResult: z.object({ success: z.boolean() }).nullish(),
        ignored: z.boolean().optional(),
      }),
    )
    .default([]),
});

export type BrokerAnswer = z.output<typeof Answer>;

/**
 * `can-i-deploy` of a Pact Broker or PactFlow. Pipelines elsewhere publish to it, by the commit as the version, and record what is
 * deployed; its answer is about what it knows to run now, so a gate has to say how old one may be.
 */
export const pactBroker = checkKind({
  name: 'pact-broker',
  type: 'contract',
  version: '1',
  fields,
  during: ['release'],
  isOfNow: true,
  inputs: () => [],
  async ask({ definition: { broker }, commit, log, signal }, { broker: server }) {
    if (server === null || server === undefined) throw noServer();
    const query = new URLSearchParams({ ...broker, version: commit });
    const answer = await askOutside(
      server,
      whoIs(server.user),
      { path: 'can-i-deploy', query, schema: Answer },
      signal,
    );
    if (answer === 400 || answer === 404) throw unknown(broker, server.url);
    for (const { consumer, provider, verificationResult } of answer.matrix)
      log(`${spoken(consumer)} with ${spoken(provider)}: ${verificationResult?.success ?? 'not verified'}`);
    const judged = answerOf(answer);
    if (judged === null) throw notYet(broker, commit, answer.summary.reason);
    return judged;
  },
});

/** @returns null while it is not known: neither a yes nor a no */
export function answerOf({ summary, matrix }: BrokerAnswer): CheckAnswer | null {
  const broken = matrix.filter(
    ({ verificationResult, ignored }) => ignored !== true && verificationResult?.success === false,
  );
  const reason = shorten(summary.reason.replaceAll(/\s+/g, ' ').trim(), 300);
  if (broken.length > 0 || summary.failed > 0) {
    const pairs = broken.map(({ consumer, provider }) => `${spoken(provider)} breaks what ${spoken(consumer)} expects`);
    return {
      verdict: 'failed',
      summary: ['the broker says no', pairs.join('; ') || reason].filter(Boolean).join(': '),
    };
  }
  if (summary.deployable !== true) return null;
  return { verdict: 'passed', summary: ['the broker says yes', reason].filter(Boolean).join(': ') };
}

function spoken({ name, version }: z.output<typeof Application>): string {
  return version === null || version === undefined ? name : `${name} ${version.number.slice(0, 12)}`;
}

function whoIs(user: string | null): Outside {
  return {
    name: 'The Pact Broker',
    key: 'broker',
    whose: 'somebody who may read there',
    authorization: (token) =>
      user === null ? `Bearer ${token}` : `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`,
  };
}

interface Asked {
  readonly pacticipant: string;
  readonly environment: string;
}

function unknown({ pacticipant, environment }: Asked, url: string): CheckError {
  return new CheckError({
    code: 'check.not-yet',
    what: `The Pact Broker at ${url} knows no application "${pacticipant}", or no environment "${environment}".`,
    fix: 'Publish its pacts or verifications there, or correct `broker` in the check. It is asked again.',
  });
}

function notYet({ pacticipant, environment }: Asked, commit: string, reason: string): CheckError {
  return new CheckError({
    code: 'check.not-yet',
    what: `The Pact Broker does not know yet whether ${pacticipant} of ${commit.slice(0, 7)} may go to ${environment}: ${shorten(reason.replaceAll(/\s+/g, ' ').trim(), 300) || 'it gives no reason'}.`,
    fix: `Publish with \`${commit}\` as the version, and let the other side be verified. It is asked again.`,
  });
}

function noServer(): CheckError {
  return new CheckError({
    code: 'check.no-server',
    what: 'No Pact Broker is named by towpath.yaml on the default branch.',
    fix: 'Write `servers: { broker: { url: https://..., token: env:PACT_BROKER_TOKEN } }` there. Other branches cannot name one.',
  });
}
