import type { Evidence } from '../check/evidence.ts';
import { latestAnswers } from '../check/evidence-store.ts';
import { nameOfPact } from '../check/question.ts';
import { type EnvironmentRow, environmentsOf } from '../environment/environment-store.ts';
import { environmentsAsked, recordQuestions, replaceQuestion } from '../environment/revoked-store.ts';
import type { Release } from '../release/release.ts';
import { releaseById } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { type Question, questionsOf } from './question.ts';
import { contractsAmong, releasesBeside } from './contracts.ts';
import { definitionOf } from './gather.ts';
import type { House } from './house.ts';
import { yank } from './yank.ts';

/**
 * What the checks that are gates on the path ask of a release, written down before it goes anywhere; and what was asked of the
 * contracts that it is to hold with what runs there.
 */
export async function recordGateQuestions(house: House, release: Release, environment: EnvironmentRow): Promise<void> {
  const environments = await environmentsOf(house.store.db, release.projectId);
  const gates = environments
    .filter(({ previewBranch }) => previewBranch === null)
    .flatMap((environment) => definitionOf(environment).gates);
  const checks = new Set(gates.flatMap((gate) => (gate.kind === 'check' ? [gate.name] : [])));
  const questions = await Promise.all([...checks].map((check) => questionsOf(house, release, check)));
  await recordQuestions(
    house.store.db,
    release.id,
    [...questions.flat(), ...(await contractQuestions(house, release, environment))].map(
      ({ id, name, service, pact }) => ({
        question: id,
        check: pact === null ? name : nameOfPact(name, pact),
        service,
      }),
    ),
  );
}

async function contractQuestions(house: House, release: Release, environment: EnvironmentRow): Promise<Question[]> {
  if (!definitionOf(environment).gates.some(({ kind }) => kind === 'can-i-deploy')) return [];
  const { written, pairs } = await contractsAmong(house, [release, ...(await releasesBeside(house, environment))]);
  const own = pairs.filter(({ consumer, providerOf }) => consumer.release === release || providerOf === release);
  return [...written.filter((one) => one.release === release), ...own.flatMap(({ verifiers }) => verifiers)].flatMap(
    ({ question }) => question ?? [],
  );
}

/**
 * Invariant 6 for what runs: an answer that takes a pass back is told of each environment that runs what it is about, and so is
 * the pass that gives it back. Where the environment's `onFailure` says `yank`, a failure bars the release; an error, which says
 * nothing of it, does not. Called before the answer is recorded, and before any release is locked.
 */
export async function revoke(house: House, tx: Tx, evidence: Evidence): Promise<void> {
  const { question, check, service, releaseId: asked } = evidence;
  if (asked === null || service === null) return;
  const old = await replaceQuestion(tx, asked, { check, service, question });
  const before = (await latestAnswers(tx, [old])).get(old);
  const { verdict, summary } = evidence.answer;
  const [was, is] = [before?.answer.verdict !== 'passed', verdict !== 'passed'];
  if (before === undefined || was === is) return;
  const running = await environmentsAsked(tx, question);
  const environments = running.map(({ environmentId }) => environmentId);
  const data = {
    check,
    service,
    digest: evidence.digests[service],
    verdict,
    summary,
    evidence: evidence.id,
    environments,
  };
  for (const { environmentId, releaseId } of running)
    await recordEvent(tx, {
      projectId: evidence.projectId,
      kind: is ? 'environment.revoked' : 'environment.cleared',
      subject: environmentId,
      data: { ...data, release: releaseId },
    });
  const strict = running.find(({ definition }) => definitionOf({ definition }).onFailure.yank);
  if (verdict !== 'failed' || strict === undefined) return;
  const release = await releaseById(tx, strict.releaseId);
  if (release === null) return;
  // what is being brought in by it ends, and hears that between its steps
  await yank(house, tx, release, {
    by: 'towpath',
    reason: `${evidence.check} of ${evidence.service} failed: ${summary}`,
  });
}
