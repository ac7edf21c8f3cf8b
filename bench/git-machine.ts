import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

import type { GitPeerAnswer, GitPeerAsk, GitPeerWork } from './git-peer.ts';

/** The program beside the bundle that runs the benches. */
const program = resolve('dist/bench/git-peer.js');

export interface GitPeer {
  ask<K extends keyof GitPeerWork>(name: K, ...argv: Parameters<GitPeerWork[K]>): ReturnType<GitPeerWork[K]>;
  stop(): Promise<void>;
}

/** Starts what `bench/git-peer.ts` says. */
export function startGitPeer(): GitPeer {
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let asked = 0;
  child.on('message', (answer: GitPeerAnswer) => {
    const waiter = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) waiter?.reject(new Error(answer.error));
    else waiter?.resolve(answer.value);
  });
  child.once('exit', () => {
    for (const waiter of waiting.values()) waiter.reject(new Error('The git server of the bench ended.'));
  });
  const ask = (name: keyof GitPeerWork, ...argv: readonly unknown[]): Promise<unknown> =>
    new Promise((done, reject) => {
      const id = (asked += 1);
      waiting.set(id, { resolve: done, reject });
      child.send({ id, name, argv } satisfies GitPeerAsk);
    });
  return {
    ask: ask as GitPeer['ask'],
    stop: async () => {
      await ask('close');
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
