import { afterEach, describe, expect, test } from 'vitest';

import type { OutputPart } from '../driver.ts';
import { CANARY, type DriverUnderTest, type Rollouts, rolloutsOf } from './rollouts.ts';

/** What a driver with `output` has to do, tried on the real thing. */
export function describeOutput(under: () => DriverUnderTest): void {
  describe('what services print', () => {
    let run: Rollouts;
    let leave: AbortController;
    afterEach(async () => {
      leave.abort();
      await run.end();
    });
    const begin = (): Rollouts => {
      leave = new AbortController();
      return (run = rolloutsOf(under()));
    };
    /** Prints by the service itself, on its output or among its errors. */
    const say = (text: string, more = ''): Promise<string> =>
      run.text(`/print?text=${encodeURIComponent(text)}${more}`);
    const printed = (wanted: readonly string[]) =>
      expect.poll(() => run.printed('web'), { timeout: 20_000 }).toEqual(wanted);

    test('what it prints is read back, errors too, and of another service nothing', async () => {
      const { deploy, web, worker } = begin();
      await deploy('one', [await web('v1'), await worker('v2')]);
      await say('hello, wörld');
      await say('cannot find it', '&error=1');
      await expect
        .poll(async () => (await run.printed('web')).sort(), { timeout: 20_000 })
        .toEqual(['cannot find it', 'hello, wörld', 'version v1 starts']);
      await expect.poll(() => run.printed('worker'), { timeout: 20_000 }).toEqual(['version v2 starts']);
      expect(await run.printed('nobody')).toEqual([]);
    });

    test('the last lines are those that were asked for', async () => {
      const { deploy, web } = begin();
      await deploy('one', [await web('v1')]);
      for (const text of ['one', 'two', 'three']) await say(text);
      await printed(['version v1 starts', 'one', 'two', 'three']);
      expect(await run.printed('web', 2)).toEqual(['two', 'three']);
      expect(await run.printed('web', 0)).toEqual([]);
    });

    test('a secret that it prints is blackened, whatever stands around it and however it is written', async () => {
      const { deploy, web } = begin();
      await deploy('one', [await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } })]);
      await run.text('/print?secret=TOKEN');
      await say(`token=${CANARY}; as base64 ${Buffer.from(CANARY).toString('base64')}`);
      await say(`${'x'.repeat(16_370)}${CANARY}${'y'.repeat(9000)}`); // over the border of what an engine keeps as one
      await say('that is all');
      await expect.poll(() => run.printed('web'), { timeout: 20_000 }).toContain('that is all');
      const lines = await run.printed('web');
      expect(lines.slice(0, 2)).toEqual(['version v1 starts', '[secret]']);
      expect(lines[2]).toContain('token=[secret]; as base64 [secret]');
      expect(lines.join('\n')).not.toContain(CANARY.slice(0, 8));
      expect(lines.join('\n')).not.toContain(CANARY.slice(-8));
      for (const tail of [1, 2, 3]) expect((await run.printed('web', tail)).join('\n')).not.toContain(CANARY.slice(-8));
    });

    test('followed, each line comes once as it is printed, also after the reader was away', async () => {
      const { deploy, web, follow } = begin();
      await deploy('one', [await web('v1')]);
      const first = heard(follow('web', leave.signal));
      await say('one');
      await expect.poll(() => first.lines, { timeout: 20_000 }).toEqual(['version v1 starts', 'one']);
      leave.abort();
      await first.ended;
      await say('two');
      leave = new AbortController();
      const second = heard(follow('web', leave.signal, first.places));
      await say('three');
      await expect.poll(() => second.lines, { timeout: 20_000 }).toEqual(['two', 'three']);
    });

    test('followed over a redeployment, the replica that took its place goes on from its first line', async () => {
      const { deploy, web, follow } = begin();
      await deploy('one', [await web('v1')]);
      const reader = heard(follow('web', leave.signal));
      await expect.poll(() => reader.lines, { timeout: 20_000 }).toEqual(['version v1 starts']);
      await deploy('two', [await web('v2')]);
      await say('by the new one');
      await expect
        .poll(() => reader.lines, { timeout: 20_000 })
        .toEqual(['version v1 starts', 'version v2 starts', 'by the new one']);
      expect([...new Set(reader.parts.map(({ operation }) => operation))]).toEqual(['one', 'two']);
    });

    test('followed, several replicas are heard at once, and it ends when nothing is left', async () => {
      const { deploy, destroy, web, follow } = begin();
      await deploy('one', [await web('v1', { replicas: 2 })]);
      const reader = heard(follow('web', leave.signal));
      await expect.poll(() => reader.lines, { timeout: 20_000 }).toEqual(['version v1 starts', 'version v1 starts']);
      expect(new Set(reader.parts.map(({ replica }) => replica)).size).toBe(2);
      await destroy();
      await reader.ended;
    });
  });
}

/** Listens in the background. */
function heard(parts: AsyncIterable<OutputPart>) {
  const all: OutputPart[] = [];
  const lines: string[] = [];
  const places = new Map<string, string>();
  const listen = async (): Promise<void> => {
    for await (const part of parts) {
      all.push(part);
      lines.push(...part.lines);
      places.set(part.replica, part.place);
    }
  };
  return { parts: all, lines, places, ended: listen() };
}
