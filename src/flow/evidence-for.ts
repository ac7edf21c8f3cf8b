import type { CheckDefinition } from '../check/check.ts';
import type { RecordedEvidence } from '../check/evidence.ts';
import { latestAnswers } from '../check/evidence-store.ts';
import { differenceOf } from '../check/question.ts';
import type { ProjectConfig } from '../config/config.ts';
import { configCommitOf } from '../config/config-store.ts';
import type { AnswerFacts } from '../path/facts.ts';
import type { Release } from '../release/release.ts';
import { namedCommits } from '../release/release-store.ts';
import { repositoryById } from '../source/member-store.ts';
import { questionsOf } from './question.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';

export interface Then {
  readonly at: Date;
  readonly commit: string | null;
}

/**
 * What is known of each check, for each service of a release that is asked it. Evidence is bound to the class of its commit:
 * one that was the head of the protected branch asks what that branch asked; of any other commit an answer counts where the
 * protected branch asks the same. Tests are not compared: they come with the code that they test, and change with it.
 * @param bound false in a preview, whose branch says itself what is asked of it
 * @param then as it was at an instant, and of which commit the configuration in force was; else now
 */
export async function evidenceFor(
  house: House,
  release: Release,
  checks: readonly string[],
  bound: boolean,
  then?: Then,
): Promise<Record<string, AnswerFacts[]>> {
  if (checks.length === 0) return {};
  const asks = bound ? await protectedAsks(house, release, then) : null;
  const each = await Promise.all(
    checks.map(async (check) => {
      const questions = new Map((await questionsOf(house, release, check)).map((one) => [one.service, one]));
      const latest = await latestAnswers(
        house.store.db,
        [...questions.values()].map(({ id }) => id),
        then?.at,
      );
      const answers = release.services.flatMap(({ service, commit }): AnswerFacts[] => {
        const question = questions.get(service);
        const stands = standing(
          question?.check,
          asks === null || asks.own.has(commit) ? null : asks.of(service, check),
        );
        if (stands === null) return [];
        const evidence = question === undefined ? undefined : latest.get(question.id);
        return [
          {
            service,
            ...stands,
            question: question?.id ?? null,
            latest: latestOf(evidence),
          },
        ];
      });
      return [check, answers] as const;
    }),
  );
  return Object.fromEntries(each);
}

export function latestOf(evidence: RecordedEvidence | null | undefined): AnswerFacts['latest'] {
  if (evidence === null || evidence === undefined) return null;
  const { verdict, summary, scan } = evidence.answer;
  const until = scan?.untilMs === undefined ? {} : { untilMs: scan.untilMs };
  return { evidence: evidence.id, verdict, at: evidence.at.getTime(), summary, ...until };
}

/** @param there what the protected branch asks; null where that does not matter */
export function standing(
  here: CheckDefinition | undefined,
  there: CheckDefinition | 'nothing' | null,
): Pick<AnswerFacts, 'asked' | 'differs'> | null {
  if (there === null) return here === undefined ? null : { asked: 'same', differs: [] };
  if (here === undefined) return there === 'nothing' ? null : { asked: 'only-there', differs: [] };
  if (there === 'nothing') return { asked: 'only-here', differs: [] };
  const differs = differenceOf(here, there);
  return { asked: differs.length === 0 ? 'same' : 'otherwise', differs };
}

export interface ProtectedAsks {
  /** The commits of the release that were the head of the protected branch. */
  readonly own: ReadonlySet<string>;
  of(service: string, check: string): CheckDefinition | 'nothing';
  checksOf(service: string): Readonly<Record<string, CheckDefinition>>;
}

export async function protectedAsks(house: House, release: Release, then?: Then): Promise<ProtectedAsks> {
  const { db } = house.store;
  const { defaultBranch } = await repositoryById(db, release.repositoryId);
  const commits = [...new Set(release.services.map(({ commit }) => commit))];
  const own = await namedCommits(db, release.repositoryId, `refs/heads/${defaultBranch}`, commits, then?.at);
  // as it is in force: a head that cannot be read changes nothing
  const inForce = then === undefined ? () => configCommitOf(db, release.repositoryId) : () => then.commit;
  const head = commits.every((commit) => own.has(commit)) ? null : await inForce();
  const config: ProjectConfig | null = head === null ? null : await configAt(house, release.repositoryId, head);
  return {
    own,
    of: (service, check) => config?.services[service]?.checks[check] ?? 'nothing',
    checksOf: (service) => config?.services[service]?.checks ?? {},
  };
}
