import { type Forge, type ForgeRepository, startForge } from '../src/git/testing/forge.ts';
import { fileOf, host, optimist, type Outsider } from './git-writers.ts';

/**
 * What is elsewhere where people work: the git server, and others who push. A process of its own, which `startGitPeer` starts: a
 * process as large as ours takes some ten times as long to start git, and what it does meanwhile waits.
 */
const work = {
  /** A repository of manifests, one for each app, and one that all share. */
  repository: async (files: number): Promise<{ readonly url: string }> => {
    forge ??= await startForge();
    const repository = await forge.createRepository(`manifests-${files}`);
    const made = Object.fromEntries(Array.from({ length: files }, (_, app) => [fileOf(app), HEAD + container(app)]));
    const shared = Array.from({ length: 12 }, (_, app) => container(app)).join('');
    await repository.commit({ files: { ...made, 'images.yaml': HEAD + shared } });
    await repository.git('config', 'receive.autogc', 'false');
    repositories.set(repository.url, repository);
    await work.housekeeping(repository.url);
    return { url: repository.url };
  },
  /** Hosts do it apart from pushes; `git gc` in the midst of them would have both processors for seconds. */
  housekeeping: async (url: string): Promise<void> => {
    await repositories.get(url)?.git('repack', '-adq');
  },
  git: async (url: string, ...argv: string[]): Promise<string> => {
    const repository = repositories.get(url);
    if (repository === undefined) throw new Error(`There is no ${url}.`);
    return repository.git(...argv);
  },
  /** @returns how often it was made until it was there; 0: never */
  note: async (url: string): Promise<number> => {
    const repository = repositories.get(url);
    if (repository === undefined) throw new Error(`There is no ${url}.`);
    const outsider = outsiders.get(url) ?? host(repository.directory);
    outsiders.set(url, outsider);
    return outsider.commit();
  },
  optimist: (url: string, clone: string, file: string, ms: number): Promise<number> =>
    optimist(url, clone, file, performance.now() + ms),
  close: async (): Promise<void> => forge?.close(),
};

export type GitPeerWork = typeof work;

export interface GitPeerAsk {
  readonly id: number;
  readonly name: keyof GitPeerWork;
  readonly argv: readonly unknown[];
}

export type GitPeerAnswer = { readonly id: number } & ({ readonly value: unknown } | { readonly error: string });

const repositories = new Map<string, ForgeRepository>();
let forge: Forge | undefined;
const outsiders = new Map<string, Outsider>();

const HEAD = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  replicas: 2\n  containers:\n';

function container(app: number): string {
  return `    - name: app-${app}\n      image: shop/web:v0 # moved by the pipeline\n`;
}

process.on('message', ({ id, name, argv }: GitPeerAsk) => {
  const done = (work[name] as (...all: readonly unknown[]) => Promise<unknown>)(...argv);
  done.then(
    (value) => process.send?.({ id, value } satisfies GitPeerAnswer),
    (error: unknown) => process.send?.({ id, error: String(error) } satisfies GitPeerAnswer),
  );
});
