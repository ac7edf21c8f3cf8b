import type { Stage } from './demo-stage.ts';
import type { EnvironmentDetail } from './flow/view/environment.ts';
import type { PromotionView } from './flow/view/promotion.ts';
import type { ReleaseView } from './flow/view/release.ts';
import type { Digest } from './lib/digest.ts';
import { hasCode } from './lib/error.ts';

/** The project of the example. */
export const PROJECT = 'shop';

/** Null for one that is not there (yet): previews come with their branch. */
export async function environment({ client }: Stage, name: string): Promise<EnvironmentDetail | null> {
  try {
    return await client.call('environment.show', { params: { project: PROJECT, environment: name } });
  } catch (error) {
    if (hasCode(error, 'environment.unknown', 'project.unknown')) return null;
    throw error;
  }
}

/** Waits until the environment runs that commit. @throws DemoError at once when its promotion ends otherwise */
export async function live(stage: Stage, name: string, commit: string): Promise<EnvironmentDetail> {
  return stage.until(
    `${name} to run ${commit.slice(0, 7)}`,
    async () => {
      const detail = await environment(stage, name);
      const trouble = promotionOf(detail, commit, 'refused', 'failed', 'rolled-back', 'cancelled');
      stage.expect(trouble === null, `${name} to run ${commit.slice(0, 7)}`, lineOf(trouble));
      if (detail?.current?.commit !== commit) await failEarly(stage, commit);
      return detail?.current?.commit === commit ? detail : null;
    },
    async () => describe(await environment(stage, name)),
  );
}

/** Waits until a promotion of that commit is in one of the states. */
export function reached(
  stage: Stage,
  name: string,
  commit: string,
  ...states: readonly PromotionView['state'][]
): Promise<PromotionView> {
  return stage.until(
    `${commit.slice(0, 7)} to be ${states.join(' or ')} in ${name}`,
    async () => promotionOf(await environment(stage, name), commit, ...states),
    async () => describe(await environment(stage, name)),
  );
}

/** Waits until all is built, or the build has failed. */
export function built(stage: Stage, commit: string): Promise<ReleaseView> {
  return stage.until(
    `the build of ${commit.slice(0, 7)} to end`,
    async () => {
      const release = await releaseOf(stage, commit);
      return release === null || release.state === 'building' ? null : release;
    },
    async () => (await releaseOf(stage, commit))?.state ?? 'no release of it',
  );
}

/** Waits until nothing but a person stands before a promotion of that commit; before that, it may wait for its turn. */
export function waitsForApproval(stage: Stage, name: string, commit: string): Promise<PromotionView> {
  return stage.until(
    `${commit.slice(0, 7)} to wait for an approval in ${name}`,
    async () => {
      const waiting = promotionOf(await environment(stage, name), commit, 'waiting');
      return waiting !== null && /approval/.test(waiting.headline) ? waiting : null;
    },
    async () => describe(await environment(stage, name)),
  );
}

export function digestOf(detail: EnvironmentDetail | null, service: string): Digest | 'nothing' {
  return detail?.services.find((one) => one.service === service)?.digest ?? 'nothing';
}

export function urlOf(detail: EnvironmentDetail | null, service: string): string {
  return detail?.services.find((one) => one.service === service)?.url ?? 'no address';
}

/** `sha256:4f2a91c0d1e2`: enough to compare by eye. */
export function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}

/** What a customer sees. */
export async function checkout(detail: EnvironmentDetail | null): Promise<string> {
  const url = urlOf(detail, 'web');
  const answer = await fetch(`${url}/checkout?item=tea&count=2`).catch(() => null);
  if (answer === null) return `nothing answers at ${url}`;
  return /Total: [^<\s]+/.exec(await answer.text())?.[0] ?? `status ${answer.status}`;
}

function promotionOf(
  detail: EnvironmentDetail | null,
  commit: string,
  ...states: readonly PromotionView['state'][]
): PromotionView | null {
  const all = [...(detail?.open ?? []), ...(detail?.history ?? [])];
  return all.find(({ release, state }) => release.commit === commit && states.includes(state)) ?? null;
}

async function releaseOf({ client }: Stage, commit: string): Promise<ReleaseView | null> {
  const { items } = await client.call('release.list', { params: { project: PROJECT }, query: { limit: 20 } });
  return items.find((one) => one.commit === commit) ?? null;
}

/** A build that failed is not waited for. */
async function failEarly(stage: Stage, commit: string): Promise<void> {
  const release = await releaseOf(stage, commit);
  if (release?.state === 'failed')
    stage.expect(false, `${commit.slice(0, 7)} to be built`, release.problem?.what ?? 'a build that failed');
}

function describe(detail: EnvironmentDetail | null): string {
  if (detail === null) return 'no such environment';
  const runs = detail.current === null ? 'nothing' : `#${detail.current.number} ${detail.current.commit.slice(0, 7)}`;
  return [`${detail.name} runs ${runs}`, ...detail.open.map(lineOf), lineOf(detail.history[0] ?? null)].join('; ');
}

function lineOf(promotion: PromotionView | null): string {
  if (promotion === null) return 'no promotion';
  return `promotion ${promotion.number} (#${promotion.release.number}): ${promotion.state}: ${promotion.headline}`;
}
