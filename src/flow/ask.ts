import { availableParallelism } from 'node:os';

import type { ArtifactRow } from '../artifact/artifact-store.ts';
import { typeOf } from '../check/check-type.ts';
import { askCheck, contractsOf, kindOf } from '../check/checks.ts';
import type { Evidence } from '../check/evidence.ts';
import { evidenceById, latestAnswers } from '../check/evidence-store.ts';
import { storeContent } from '../check/kept-store.ts';
import type { CheckRequest } from '../check/kind.ts';
import { keepPact, pactText } from '../check/pact-store.ts';
import { mustAsk, nameOfPact } from '../check/question.ts';
import type { ProjectConfig } from '../config/config.ts';
import { rulingConfig } from '../config/config-store.ts';
import { environmentById } from '../environment/environment-store.ts';
import { allEnded } from '../lib/all-ended.ts';
import { type Digest, sha256Hex } from '../lib/digest.ts';
import { TowpathError } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { limiter } from '../lib/limiter.ts';
import type { LogLine } from '../lib/log.ts';
import type { Release } from '../release/release.ts';
import { openLog } from '../store/log-store.ts';
import { baselineOf } from './baseline.ts';
import { type Asked, contractsAmong, pactQuestionsOf, releasesBeside } from './contracts.ts';
import type { Deployment } from './deploy-release.ts';
import type { House } from './house.ts';
import { type Question, questionFor, questionsOf } from './question.ts';
import { recordAnswer } from './statements/state.ts';
import { requireIsolation } from './strangers.ts';

/** Checks with `during: build`, of one service. Only what no evidence answers yet is asked; every answer is given. */
export async function askDuringBuild(
  house: House,
  build: {
    artifact: ArtifactRow;
    repositoryId: string;
    config: ProjectConfig;
    digest: Digest;
    /** Of the build: what a check says belongs to the story of why there is no artifact. */
    log: LogLine;
    signal: AbortSignal;
  },
): Promise<Evidence[]> {
  const { artifact, repositoryId, config, digest, log, signal } = build;
  const part = { service: artifact.service, commit: artifact.builtForCommit, digest, repository: artifact.repository };
  const names = Object.entries(config.services[artifact.service]?.checks ?? {}).flatMap(([name, { during }]) =>
    during === 'build' ? [name] : [],
  );
  const questions = await Promise.all(
    names.map((name) => questionFor(house, artifact.projectId, repositoryId, config, part, name)),
  );
  const evidence: Evidence[] = [];
  for (const question of questions) {
    if (question === null) continue;
    const known = (await latestAnswers(house.store.db, [question.id])).get(question.id);
    // whoever builds again wants to know it anew; else an earlier answer counts, be it a failure
    if (known !== undefined && artifact.attempt === 1 && !mustAsk(question.check, known.answer)) {
      log(`Check "${question.name}": ${known.answer.verdict} earlier: ${known.answer.summary}.`);
      evidence.push(known);
      continue;
    }
    log(`Check "${question.name}":`);
    const where = { urls: {}, releaseId: null, environmentId: null, signal };
    const found = await ask(house, artifact.projectId, question, where, log);
    log(`Check "${question.name}" ${found.answer.verdict}: ${found.answer.summary}.`);
    evidence.push(found);
  }
  return evidence;
}

/** Asks a check, by name, of every service of a release that has it, as many at once as the machine works on. @param how `sinceMs`: also what was answered by then */
export async function askRelease(
  house: House,
  release: Release,
  name: string,
  { signal, sinceMs = 0 }: { readonly signal: AbortSignal; readonly sinceMs: number | undefined },
): Promise<Evidence[]> {
  const asked = [...(await questionsOf(house, release, name)), ...(await pactQuestionsOf(house, release, name))];
  return askEach(
    house,
    asked.map((question) => ({ question, release })),
    { signal, sinceMs },
  );
}

/**
 * Asks what is open of the contracts that would hold in an environment with a release: first what its services expect of others,
 * and once that is known whether these keep to it.
 */
export async function askContracts(
  house: House,
  release: Release,
  environmentId: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<Evidence[]> {
  const environment = await environmentById(house.store.db, environmentId);
  const present = [release, ...(await releasesBeside(house, environment))];
  const { written, pairs } = await contractsAmong(house, present);
  const writing = written.flatMap(unanswered);
  const open = writing.length > 0 ? writing : pairs.flatMap(({ verifiers }) => verifiers.flatMap(unanswered));
  return askEach(house, open, { signal, sinceMs: 0 });
}

interface Asking {
  readonly question: Question;
  readonly release: Release;
}

function unanswered({ question, release, latest }: Asked): Asking[] {
  return question === null || latest !== null ? [] : [{ question, release }];
}

/** As many at once as the machine works on. */
async function askEach(
  house: House,
  questions: readonly Asking[],
  { signal, sinceMs }: { readonly signal: AbortSignal; readonly sinceMs: number },
): Promise<Evidence[]> {
  const limit = limiter(Math.max(2, availableParallelism()));
  const asked = questions.map(({ question, release }) =>
    limit(async () => {
      if (!(await isOpen(house, question, sinceMs))) return null;
      const where = { urls: {}, releaseId: release.id, environmentId: null, signal };
      return ask(house, release.projectId, question, where);
    }),
  );
  return (await allEnded(asked)).filter((evidence) => evidence !== null);
}

/**
 * Each question is answered once in one operation: a worker that takes it over goes on with the answers that are there.
 * @throws TowpathError `check.failed` when a check of the environment's `verify` list is not green, `check.not-run` when it
 * could not be asked: that says nothing of the release
 */
export async function askAfterDeployment(
  house: House,
  deployment: Deployment & { readonly urls: Readonly<Record<string, string>>; readonly log: LogLine },
): Promise<void> {
  const { environment, definition, release, operation, signal, urls, log } = deployment;
  for (const name of definition.verify) {
    for (const question of await questionsOf(house, release, name, { urls, mocks: definition.mocks ?? [] })) {
      const id = `evi_${sha256Hex(`${operation} ${question.id}`).slice(0, 26)}`;
      const where = { urls, releaseId: release.id, environmentId: environment.id, signal };
      const found: Evidence = (await evidenceById(house.store.db, id)) ?? {
        ...(await ask(house, release.projectId, question, where, log)),
        id,
      };
      await house.store.transaction((tx) => recordAnswer(tx, found));
      const { verdict, summary } = found.answer;
      if (verdict === 'passed') continue;
      throw new TowpathError({
        code: verdict === 'failed' ? 'check.failed' : 'check.not-run',
        what: `the check "${name}" of ${question.service} ${verdict === 'failed' ? 'failed' : 'could not be run'} in ${environment.name}: ${summary}`,
        fix: `\`towpath logs ${environment.name}\` shows what it said. Fix it and push.`,
      });
    }
  }
}

/** Is this still to be asked? An unchanged question is not asked twice, unless its answer has become too old. */
async function isOpen(house: House, { id, check }: Question, sinceMs: number): Promise<boolean> {
  const latest = (await latestAnswers(house.store.db, [id])).get(id);
  return mustAsk(check, latest?.answer ?? null) || (latest !== undefined && latest.at.getTime() <= sinceMs);
}

/** What a question about pacts may look at. */
async function pactsFor(
  { store: { db } }: House,
  projectId: string,
  { check, pact }: Question,
): Promise<Pick<CheckRequest<unknown>, 'keepPact' | 'pact'>> {
  if (pact !== null) return { pact: { ...pact, text: () => pactText(db, projectId, pact.digest) } };
  return contractsOf(check) === 'writes' ? { keepPact: (written) => keepPact(db, projectId, written) } : {};
}

async function ask(
  house: House,
  projectId: string,
  question: Question,
  where: {
    urls: Readonly<Record<string, string>>;
    releaseId: string | null;
    environmentId: string | null;
    signal: AbortSignal;
  },
  alsoLog?: LogLine,
): Promise<Evidence> {
  const logId = newId('log');
  const log = openLog(house.store, logId);
  const line: LogLine = (text) => {
    log.line(text);
    alsoLog?.(text);
  };
  try {
    if (question.changes !== null) line(`what changed is what changed since ${question.changes.since ?? 'nothing'}`);
    const request = {
      check: question.name,
      service: question.service,
      digest: question.digest,
      commit: question.commit,
      source: question.source,
      ...(question.changes === null ? {} : { changed: question.changes.lines }),
      ...(question.ruling === null ? {} : { ruling: question.ruling.read }),
      parts: question.parts,
      ...baselineOf(house, projectId, question, where.environmentId),
      ...keeperOf(house, [...question.check.keep, ...(kindOf(question.check).leaves ?? [])]),
      ...(await pactsFor(house, projectId, question)),
      urls: where.urls,
      name: `towpath-check-${logId.replace('_', '-')}`,
      log: line,
      signal: where.signal,
    };
    const ruling = await rulingConfig(house.store.db, projectId);
    const tools = await house.checkToolsFor(question.repository, ruling?.config.servers ?? {});
    await requireIsolation(house, question.repositoryId, question.commit, tools.runner);
    const answer = await askCheck(question.check, request, tools);
    return {
      id: newId('evi'),
      projectId,
      question: question.id,
      check: question.pact === null ? question.name : nameOfPact(question.name, question.pact),
      type: typeOf(question.name, question.check) ?? kindOf(question.check).type ?? null,
      service: question.service,
      releaseId: where.releaseId,
      environmentId: where.environmentId,
      digests: { [question.service]: question.digest },
      answer,
      logId,
    };
  } finally {
    await log.end();
  }
}

function keeperOf({ store }: House, patterns: readonly string[]): Pick<CheckRequest<unknown>, 'keeper'> {
  if (patterns.length === 0) return {};
  return { keeper: { patterns, store: (bytes) => storeContent(store.db, bytes) } };
}
