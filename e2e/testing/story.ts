import type { EnvironmentDetail } from '../../src/flow/view/environment.ts';
import type { ReleaseView } from '../../src/flow/view/release.ts';
import { hasCode } from '../../src/lib/error.ts';
import { type TestServer, until } from './server.ts';

/** What a story asks of a project on a server. */
export interface Story {
  environment(name: string): Promise<EnvironmentDetail>;
  /** Waits until the environment runs that commit. Whatever refuses or fails it on the way ends the wait. */
  live(name: string, commit: string): Promise<EnvironmentDetail>;
  /** Waits until the commit's release is there, in one of these states when any are given. */
  release(commit: string, ...states: ReleaseView['state'][]): Promise<ReleaseView>;
  /** All that the server has ever taken in of a commit. */
  releasesOf(commit: string): Promise<ReleaseView[]>;
}

export function storyOf(server: TestServer, project: string): Story {
  const environment = (name: string): Promise<EnvironmentDetail> =>
    server.client.call('environment.show', { params: { project, environment: name } });
  const releasesOf = async (commit: string): Promise<ReleaseView[]> => {
    const { items } = await server.client.call('release.list', { params: { project }, query: { limit: 100 } });
    return items.filter((release) => release.commit === commit);
  };
  return {
    environment,
    releasesOf,
    live: (name, commit) =>
      until(
        async () => {
          const detail = await environment(name).catch(ifMissing);
          const trouble = detail?.history.find(
            ({ release, state }) => release.commit === commit && ['refused', 'failed', 'rolled-back'].includes(state),
          );
          if (trouble !== undefined) throw new Error(`${name}: ${trouble.state}: ${trouble.headline}`);
          return detail?.current?.commit === commit ? detail : null;
        },
        110_000,
        () => told(server, name),
      ),
    release: (commit, ...states) =>
      until(
        async () =>
          (await releasesOf(commit)).find(({ state }) => states.length === 0 || states.includes(state)) ?? null,
        110_000,
        () => told(server, commit),
      ),
  };
}

export function ifMissing(error: unknown): null {
  if (hasCode(error, 'environment.unknown', 'project.unknown', 'release.unknown')) return null;
  throw error;
}

async function told(server: TestServer, subject: string): Promise<string> {
  return [(await server.cli('status')).stdout, (await server.cli('why', subject)).stdout, server.output()].join('\n');
}
