import { GIVEN_UP, lockBuilt, recordGivenUp } from '../../artifact/given-up-store.ts';
import { reportCommand } from '../../artifact/report.ts';
import type { Problem } from '../../lib/error.ts';
import { inParts } from '../../lib/parts.ts';
import { failReady, lockReleasesOf } from '../../release/release-store.ts';
import type { Tx } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { buildAgain } from '../begin-builds.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';
import { markUnneeded, type UnneededArtifact, unneededArtifacts, wantedAgain } from './needed-artifacts.ts';

type Place = Pick<House, 'store' | 'clock' | 'log'> & {
  readonly starts: Pick<House['starts'], 'build'>;
  readonly settings: Pick<House['settings'], 'artifactDays'>;
};

const DAY_MS = 86_400_000;
const BATCH = 500;

/** What would be given up now. */
export function toGiveUp({ store, clock, settings }: Omit<Place, 'starts' | 'log'>): Promise<UnneededArtifact[]> {
  return unneededArtifacts(store.db, graceBefore(clock.now(), settings));
}

/**
 * Gives up what nothing has needed for the time of grace and what is yanked and to be deleted, and builds again what was given up and is on the path once more.
 * Only rows change: the content goes with a sweep of the registry, after that one's own time of grace. Each part is whole
 * by itself, so it is safe to repeat, and to do twice at once.
 */
export async function giveUpArtifacts(house: Place): Promise<UnneededArtifact[]> {
  const { store, clock, log, settings } = house;
  const before = graceBefore(clock.now(), settings);
  const at = new Date(clock.now());
  const wanted = await wantedAgain(store.db, before);
  if (wanted.length > 0)
    await store.transaction((tx) => buildAgain(house, tx, new Map(wanted.map(({ key, commit }) => [key, commit]))));
  await markUnneeded(store.db, before, at);
  const keys = (await unneededArtifacts(store.db, before)).map(({ key }) => key);
  const gone: UnneededArtifact[] = [];
  await attemptEach(log, [...inParts(keys, BATCH)], 'giving up artifacts', async (part) => {
    gone.push(...(await store.transaction((tx) => giveUp(tx, part, before, at))));
  });
  return gone;
}

/**
 * Whoever makes a root names a release or an artifact, and so waits for these locks or is waited for: what is asked
 * under them is asked of all roots that there are.
 */
async function giveUp(tx: Tx, keys: readonly string[], before: Date, at: Date): Promise<UnneededArtifact[]> {
  const locked = await lockBuilt(tx, keys);
  await lockReleasesOf(tx, locked);
  const unneeded = await unneededArtifacts(tx, before, locked);
  for (const artifact of unneeded) {
    const { key, service, digest, release } = artifact;
    const problem = problemOf(artifact, at);
    await recordGivenUp(tx, key, problem, at);
    const projects = new Set([artifact.projectId, ...(await failReady(tx, key, problem))]);
    for (const projectId of projects)
      await recordEvent(tx, {
        projectId,
        kind: 'artifact.given-up',
        subject: key,
        data: { service, digest, release, problem },
      });
  }
  return unneeded;
}

function problemOf({ isReported, why, service, builtFor }: UnneededArtifact, at: Date): Problem {
  const day = at.toISOString().slice(0, 10);
  if (why.kind === 'yanked')
    return {
      code: GIVEN_UP,
      what: `it was given up on ${day}, for it was yanked on ${why.since} (${why.reason}) and nothing ran it; \`towpath unyank\` allows it again and has it built.`,
      fix: 'Promote another release, or lift the yank with `towpath unyank`.',
    };
  const back = isReported
    ? `another CI built it, so report it again: ${reportCommand({ service, commit: builtFor })}`
    : '`towpath build RELEASE` brings it back';
  return {
    code: GIVEN_UP,
    what: `it was given up on ${day}, for nothing has needed it since ${why.since}; ${back}.`,
    fix: isReported ? 'Report it again.' : 'Run `towpath build` with the name of the release.',
  };
}

/** What was needed since then stays. */
export function graceBefore(nowMs: number, { artifactDays }: Place['settings']): Date {
  return new Date(nowMs - artifactDays * DAY_MS);
}
