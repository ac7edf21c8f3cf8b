import { posix } from 'node:path';

import type { BesideSpec, RunSpec } from '../../../container/runtime.ts';
import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import { listOf, RelativePath } from '../../../lib/fields.ts';
import { parseReference } from '../../../registry/reference.ts';
import type { PinnedPart } from '../../backing.ts';

/** Folders that hold tests by custom; what is there of them is mounted when the check does not say what. */
const CUSTOMARY = ['test', 'tests', 'spec', '__tests__'];

const Inside = RelativePath.refine((path) => path !== '.', 'a part of the service, not the whole');

export const MountField = listOf(Inside)
  .optional()
  .describe('Files and folders of the service laid over the image (test, tests, spec, __tests__)');

type Roots = readonly string[] | undefined;

export function testsOf(source: SourceTree, mount: Roots): readonly TreeEntry[] {
  const roots = rootsOf(mount);
  return source.entries.filter(({ path }) => roots.some((root) => isWithin(path, root)));
}

export function rootsOf(mount: Roots): readonly string[] {
  return mount ?? CUSTOMARY;
}

/** One mount per root that is there, none inside another, and the folders that it writes to. @param folder of the tests */
export function mountsOf(
  source: SourceTree,
  mount: Roots,
  folder: string,
  workdir: string,
  written: readonly string[] = [],
): NonNullable<RunSpec['mounts']> {
  const there = rootsOf(mount).filter((root) => isThere(source, root));
  const outer = [...new Set(there)].filter((root) => !there.some((other) => root.startsWith(`${other}/`)));
  const own = written.filter((path) => !written.some((other) => path.startsWith(`${other}/`)));
  return [...new Set([...outer, ...own])].map((path) => ({
    from: posix.join(folder, path),
    to: posix.join(workdir, path),
    writable: own.includes(path),
  }));
}

export function isThere(source: SourceTree, root: string): boolean {
  return source.entries.some(({ path }) => isWithin(path, root));
}

export function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}

/** How a runner starts a part. */
export function besideOf(part: PinnedPart): BesideSpec {
  const { name, port, command, env, ready, timeout, limits } = part;
  const { host, repository } = parseReference(part.image);
  // an engine reads by itself what the image says of its running
  const config = { entrypoint: [], command: [], env: {}, workdir: '', user: '' };
  const image = { reference: `${host}/${repository}@${part.digest}`, config };
  return {
    name,
    image,
    port,
    env,
    readyWithinMs: timeout,
    ...(command === undefined ? {} : { command }),
    ...(ready === undefined ? {} : { ready }),
    ...(limits === undefined ? {} : { limits }),
  };
}
