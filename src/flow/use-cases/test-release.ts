import { recordAudit } from '../../audit/audit-store.ts';
import type { During } from '../../check/check.ts';
import { nameOfPact } from '../../check/question.ts';
import { contractsOf } from '../../check/checks.ts';
import { TowpathError } from '../../lib/error.ts';
import { newId } from '../../lib/ids.ts';
import { nearestWord } from '../../lib/nearest.ts';
import { nameOf, type Release } from '../../release/release.ts';
import { namesOf } from '../../release/release-store.ts';
import { lastEventId } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import { pactQuestionsOf } from '../contracts.ts';
import type { House } from '../house.ts';
import { configAt } from '../project-config.ts';
import type { TestView } from '../view/release.ts';
import { briefsOf } from './views.ts';

interface Asking {
  readonly service: string;
  readonly check: string;
  readonly during: During;
  /** Whether it verifies pacts. */
  readonly verifies: boolean;
}

/**
 * Asks the checks of a release again, whatever they answered before: what fails now takes an earlier pass back, and what
 * passes now is what those that wait go by.
 * @throws TowpathError `release.not-ready`, `check.unknown`, `check.none`, `check.of-build`, `check.of-deployment`
 */
export async function testRelease(
  house: House,
  release: Release,
  { check, by }: { readonly check: string | undefined; readonly by: string },
): Promise<TestView> {
  const { store } = house;
  const name = nameOf(release, (await namesOf(store.db, [release.id])).get(release.id) ?? []);
  if (release.state !== 'ready') throw notReady(name, release);
  const chosen = choose(name, await checksOf(house, release), check);
  const asked = await eachPact(house, release, chosen);
  if (asked.length === 0) throw nothingExpected(name, chosen);
  const { id, after } = await once(store, async (tx) => {
    const test = { id: newId('tst'), after: await lastEventId(tx) };
    const checks = [...new Set(asked.map((one) => one.asks))];
    for (const one of checks) await house.starts.test(tx, release.id, one, test.id);
    await recordAudit(tx, {
      actor: by,
      action: 'release.test',
      subject: release.id,
      detail: { checks, test: test.id },
    });
    return test;
  });
  const brief = (await briefsOf(store.db, [release.id])).get(release.id);
  if (brief === undefined) throw new Error(`The release ${release.id} is gone.`);
  const { release: _release, author: _author, ...rest } = brief;
  return {
    id,
    release: rest,
    asked: asked.map(({ check: its, service }) => ({ check: its, service })),
    after: String(after),
  };
}

/** Each service's checks, as its own commit has them. */
async function checksOf(house: House, release: Release): Promise<Asking[]> {
  const each = await Promise.all(
    release.services.map(async ({ service, commit }) => {
      const config = await configAt(house, release.repositoryId, commit);
      return Object.entries(config.services[service]?.checks ?? {}).map(([check, definition]) => ({
        service,
        check,
        during: definition.during,
        verifies: contractsOf(definition) === 'verifies',
      }));
    }),
  );
  return each.flat();
}

/** A check that verifies pacts is asked once for each. */
async function eachPact(
  house: House,
  release: Release,
  chosen: readonly Asking[],
): Promise<(Asking & { readonly asks: string })[]> {
  if (chosen.every(({ verifies }) => !verifies)) return chosen.map((one) => ({ ...one, asks: one.check }));
  const each = chosen.map(async (one) => {
    if (!one.verifies) return [{ ...one, asks: one.check }];
    const questions = (await pactQuestionsOf(house, release, one.check)).filter(
      ({ service }) => service === one.service,
    );
    return questions.flatMap(({ name, pact }) =>
      pact === null ? [] : [{ ...one, asks: one.check, check: nameOfPact(name, pact) }],
    );
  });
  return (await Promise.all(each)).flat();
}

function choose(release: string, all: readonly Asking[], check: string | undefined): Asking[] {
  const named = check === undefined ? all : all.filter((one) => one.check === check);
  const ofRelease = named.filter(({ during }) => during === 'release');
  if (ofRelease.length > 0) return ofRelease;
  const [first] = named;
  if (check === undefined || first === undefined) throw unknownCheck(release, all, check);
  throw first.during === 'build' ? ofBuild(release, check) : ofDeployment(release, check);
}

function nothingExpected(release: string, asked: readonly Asking[]): TowpathError {
  const who = [...new Set(asked.map(({ service }) => service))].join(' and ');
  return new TowpathError({
    code: 'check.none',
    what: `No service has a pact with ${who} of ${release}, so there is nothing to verify.`,
    fix: 'The pacts are those of services of the release, and of what runs. Ask the check that writes them first.',
  });
}

function notReady(name: string, { state }: Release): TowpathError {
  return new TowpathError({
    code: 'release.not-ready',
    what: `${name} ${state === 'building' ? 'is being built' : 'has services without an artifact'}, so there is nothing to ask yet.`,
    fix:
      state === 'building'
        ? `Wait until it is ready: \`towpath release show ${name}\`.`
        : `\`towpath build ${name}\` builds again what failed, and asks the checks of the build again.`,
  });
}

function unknownCheck(release: string, all: readonly Asking[], check: string | undefined): TowpathError {
  const names = [...new Set(all.flatMap((one) => (one.during === 'release' ? [one.check] : [])))];
  const near = check === undefined ? undefined : nearestWord(check, names);
  return new TowpathError({
    code: check === undefined ? 'check.none' : 'check.unknown',
    what:
      check === undefined
        ? `No service of ${release} has a check that is asked of a release.`
        : `No service of ${release} has a check called "${check}".`,
    fix:
      near === undefined
        ? `It has ${names.length === 0 ? 'no check with `during: release`' : names.join(', ')}.`
        : `Did you mean "${near}"?`,
  });
}

function ofBuild(release: string, check: string): TowpathError {
  return new TowpathError({
    code: 'check.of-build',
    what: `"${check}" is asked during the build. It passed, else ${release} had no artifacts, and what is built is not built again.`,
    fix: 'Where it fails, `towpath build RELEASE` builds again and asks it again. Give it `during: release` to ask it at any time.',
  });
}

function ofDeployment(release: string, check: string): TowpathError {
  return new TowpathError({
    code: 'check.of-deployment',
    what: `"${check}" is asked of what runs in an environment, after each deployment.`,
    fix: `\`towpath promote ${release} ENVIRONMENT\` deploys it and asks again.`,
  });
}
