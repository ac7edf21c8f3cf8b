import { sha256 } from '../../../lib/digest.ts';
import { json, type Sql } from '../../../store/database.ts';

/** Places are the numbers of branches and environments, of which there are two; releases those of releases made so far. */
export type Step =
  | {
      readonly kind: 'push';
      readonly branch: number;
      readonly contents: number;
      readonly ends: 'ready' | 'failed' | 'building';
    }
  | { readonly kind: 'remove'; readonly branch: number }
  | { readonly kind: 'tag' | 'pin' | 'mix' | 'yank'; readonly release: number }
  | { readonly kind: 'attempt'; readonly ends: Attempt['state']; readonly place: number; readonly release: number };

interface MadeRelease {
  readonly id: string;
  readonly state: 'ready' | 'failed' | 'building';
  readonly mixed: boolean;
  /** Of `web`, of the base service that it is built upon, and of `api`, which has nothing to do with them. */
  readonly keys: readonly string[];
}

interface Attempt {
  readonly place: number;
  readonly release: MadeRelease;
  readonly previous: MadeRelease | null;
  readonly state: 'live' | 'failed' | 'refused' | 'waiting';
}

/** What was done to a project, as a list of facts and not as tables. */
export interface History {
  readonly name: string;
  readonly releases: readonly MadeRelease[];
  readonly branches: readonly { readonly deleted: boolean; readonly commits: readonly MadeRelease[] }[];
  readonly attempts: readonly Attempt[];
  readonly tagged: ReadonlySet<MadeRelease>;
  readonly pinned: ReadonlySet<string>;
  readonly yanked: ReadonlySet<MadeRelease>;
  /** The project keeps nothing that is yanked. */
  readonly deletes: boolean;
  /** What is being built is not among it. */
  readonly built: ReadonlySet<string>;
  readonly building: ReadonlySet<string>;
}

/** Each environment can put back so many sets of artifacts. */
export const KEEP = 1;

/** Of `web`, how many contents share a base. */
const UPON_ONE_BASE = 2;

export function historyOf(name: string, steps: readonly Step[], deletes = false): History {
  const releases: MadeRelease[] = [];
  const branches = [0, 1].map(() => ({ deleted: false, commits: [] as MadeRelease[] }));
  const attempts: Attempt[] = [];
  const [tagged, yanked, pinned, built, building] = [
    new Set<MadeRelease>(),
    new Set<MadeRelease>(),
    new Set<string>(),
    new Set<string>(),
    new Set<string>(),
  ];
  const cut = (keys: readonly string[], state: MadeRelease['state'], mixed: boolean): MadeRelease => {
    const made = { id: `${name}-${String(releases.length).padStart(3, '0')}`, keys, state, mixed };
    releases.push(made);
    return made;
  };
  for (const step of steps) {
    if (step.kind === 'remove') {
      const branch = branches[step.branch];
      if (branch !== undefined && branch.commits.length > 0) branch.deleted = true;
      continue;
    }
    if (step.kind === 'push') {
      const branch = branches[step.branch];
      if (branch === undefined) continue;
      const { contents } = step;
      const base = `${name}-base${Math.floor(contents / UPON_ONE_BASE)}`;
      const own = step.ends === 'building' ? `-new${releases.length}` : '';
      const [web, api] = [`${name}-web${contents}${own}`, `${name}-api${contents}`];
      for (const key of [base, api, ...(own === '' ? [web] : [])]) built.add(key);
      if (own !== '') building.add(web);
      branch.deleted = false;
      branch.commits.push(cut([web, base, api], step.ends, false));
      continue;
    }
    const release = releases[step.release];
    if (release === undefined) continue;
    if (step.kind === 'attempt') {
      if (step.ends === 'live' && release.state !== 'ready') continue;
      const previous = runsIn(attempts, step.place).at(-1) ?? null;
      attempts.push({ place: step.place, release, previous, state: step.ends });
    } else if (step.kind === 'tag') tagged.add(release);
    else if (step.kind === 'yank') yanked.add(release);
    else if (step.kind === 'pin') pinned.add(release.keys[2] ?? '');
    else if (release.state === 'ready') cut(release.keys, 'ready', true);
  }
  return { name, releases, branches, attempts, tagged, yanked, deletes, pinned, built, building };
}

function runsIn(attempts: readonly Attempt[], place: number): MadeRelease[] {
  return attempts.flatMap((one) => (one.place === place && one.state === 'live' ? [one.release] : []));
}

/** The rule once more: the keys that must stay. @param mixes while they are young */
export function neededIn(history: History, mixes: 'young' | 'old'): Set<string> {
  const { releases, branches, attempts, tagged, pinned } = history;
  const [kept, runs] = [new Set<MadeRelease | undefined>(tagged), new Set<MadeRelease | null>()];
  for (const place of [0, 1]) {
    const ran = runsIn(attempts, place).toReversed();
    const sets = [...new Set(ran.map(({ keys }) => keys.join()))].slice(0, KEEP + 1);
    runs.add(ran[0] ?? null);
    for (const one of ran) if (sets.includes(one.keys.join())) kept.add(one);
    kept.add(attempts.findLast((one) => one.place === place && one.state !== 'refused')?.release);
  }
  for (const { release, previous, state } of attempts) if (state === 'waiting') runs.add(release).add(previous);
  for (const one of releases) {
    if (one.state === 'building') runs.add(one);
    if (one.mixed && mixes === 'young') kept.add(one);
  }
  const barred = barredIn(history);
  const held = new Set([...[...runs].flatMap((one) => one?.keys ?? []), ...pinned]);
  // what lost an artifact to a yank has failed, so the branch keeps what it had ready before
  const isReady = ({ state, keys }: MadeRelease): boolean =>
    state === 'ready' && keys.every((key) => !barred.has(key) || held.has(key));
  for (const { deleted, commits } of branches) if (!deleted) kept.add(commits.at(-1)).add(commits.findLast(isReady));
  const named = [...kept].flatMap((one) => one?.keys ?? []).filter((key) => !barred.has(key));
  return new Set([...named, ...held]);
}

/** The keys that only yanked releases have, where such are not kept. */
export function barredIn({ releases, yanked, deletes }: History): Set<string> {
  if (!deletes) return new Set();
  const sets = new Set([...yanked].map(({ keys }) => keys.join()));
  const [bad, good] = [true, false].map((is) => releases.filter(({ keys }) => sets.has(keys.join()) === is));
  const shared = new Set(good?.flatMap(({ keys }) => keys));
  return new Set(bad?.flatMap(({ keys }) => keys).filter((key) => !shared.has(key)));
}

/** What the key is built upon: `web` of two contents has one base. */
export function baseOf(history: History, key: string): string | null {
  const release = history.releases.find(({ keys: [web] }) => web === key);
  return release?.keys[1] ?? null;
}

/** Writes a history down, each table at once. @param at when all of it happened */
export async function writeHistory(db: Sql, history: History, at: Date): Promise<void> {
  const { name, releases, branches, attempts, tagged, yanked, deletes, pinned, built, building } = history;
  const after = (serial: number) => new Date(at.getTime() + serial);
  await db.insertInto('project').values({ id: name, name }).execute();
  const config = json({ yank: { delete: deletes } });
  await db
    .insertInto('repository')
    .values({ id: name, project_id: name, url: name, default_branch: 'b0', config })
    .execute();
  const place = (number: number) => `${name}-e${number}`;
  const current = (number: number) => runsIn(attempts, number).at(-1)?.id ?? null;
  if (releases.length === 0) return;
  const artifactOf = (key: string) => {
    const base = baseOf(history, key);
    return {
      key,
      project_id: name,
      service: key.includes('web') ? 'web' : key.includes('api') ? 'api' : 'base',
      builder: 'node',
      inputs: json({ parents: base === null ? {} : { base } }),
      depth: base === null ? 0 : 1,
      state: building.has(key) ? ('building' as const) : ('built' as const),
      repository: `${name}/web`,
      digest: building.has(key) ? null : sha256(key),
      log_id: key,
      built_for_commit: 'c0ffee1',
    };
  };
  await db
    .insertInto('artifact')
    .values([...built, ...building].map(artifactOf))
    .execute();
  await db
    .insertInto('release')
    .values(
      releases.map((release) => {
        const { id, mixed, keys, state } = release;
        const isYanked = yanked.has(release);
        return {
          id,
          project_id: name,
          repository_id: name,
          commit_sha: id,
          mixed,
          fingerprint: keys.join(),
          state,
          created_by: 'Ana',
          created_at: at,
          ready_at: state === 'ready' ? at : null,
          yanked_at: isYanked ? at : null,
          yank_reason: isYanked ? 'wrong tax' : null,
          yanked_by: isYanked ? 'Olga' : null,
        };
      }),
    )
    .execute();
  const services = (key: string, index: number) => ({
    service: ['web', 'base', 'api'][index] ?? '',
    artifact_key: key,
  });
  await db
    .insertInto('release_service')
    .values(
      releases.flatMap(({ id, keys }) =>
        keys.map((key, index) => ({ ...services(key, index), release_id: id, commit_sha: id })),
      ),
    )
    .execute();
  const names = [
    ...branches.flatMap(({ commits, deleted }, branch) =>
      commits.map((one, serial) => ({ one, ref: `refs/heads/b${branch}`, named: after(serial), deleted })),
    ),
    // each was deleted since: who got the version by its name has it still
    ...[...tagged].map((one) => ({ one, ref: `refs/tags/${one.id}`, named: at, deleted: true })),
  ];
  if (names.length > 0)
    await db
      .insertInto('release_name')
      .values(names.map(({ one, ref, named }) => ({ release_id: one.id, ref, named_at: named })))
      .execute();
  const refs = new Map(names.map(({ one, ref, deleted }) => [ref, { commit: one.id, deleted }]));
  if (refs.size > 0)
    await db
      .insertInto('ref')
      .values(
        [...refs].map(([ref, { commit, deleted }]) => ({
          repository_id: name,
          name: ref,
          oid: commit,
          commit_sha: commit,
          deleted_at: deleted ? at : null,
        })),
      )
      .execute();
  if (pinned.size > 0)
    await db
      .insertInto('base_pin')
      .values([...pinned].map((key) => ({ project_id: name, reference: key, digest: sha256(key), pinned_by: 'Ana' })))
      .execute();
  await db
    .insertInto('environment')
    .values(
      [0, 1].map((number) => ({
        id: place(number),
        project_id: name,
        name: `e${number}`,
        slug: place(number),
        position: number,
        definition: json({ keep: KEEP }),
        current_release_id: current(number),
      })),
    )
    .execute();
  if (attempts.length === 0) return;
  const promotions = attempts.map((attempt, serial) => ({ ...attempt, id: `${name}-pro${serial}`, serial }));
  await db
    .insertInto('promotion')
    .values(
      promotions.map(({ id, place: number, release, previous, state, serial }) => ({
        id,
        project_id: name,
        environment_id: place(number),
        release_id: release.id,
        previous_release_id: previous?.id ?? null,
        kind: 'promotion' as const,
        automatic: false,
        requested_by: 'Ana',
        cause: 'asked',
        log_id: id,
        state,
        ended_at: state === 'waiting' ? null : after(serial),
      })),
    )
    .execute();
  const live = promotions.filter(({ state }) => state === 'live');
  if (live.length > 0)
    await db
      .insertInto('tenure')
      .values(
        live.map(({ id, place: number, release, serial }) => {
          const next = live.find((one) => one.place === number && one.serial > serial);
          return {
            promotion_id: id,
            environment_id: place(number),
            release_id: release.id,
            began_at: after(serial),
            ended_at: next === undefined ? null : after(next.serial),
          };
        }),
      )
      .execute();
}
