import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';

import { hasCode } from '../lib/error.ts';
import { cases } from '../lib/testing/cases.ts';
import { authorizationOf } from './credential.ts';
import { oidOf, packOf } from './pack.ts';
import { openSendPack, readReport, reportEnds, type SendPack } from './send-pack.ts';
import { type Forge, type ForgeRepository, startForge } from './testing/forge.ts';

const allow = ['http'] as const;
const REF = 'refs/heads/main';
let forge: Forge;
beforeAll(async () => {
  forge = await startForge();
});
afterEach(() => {
  forge.answer = undefined;
});
afterAll(() => forge.close());

test('a commit arrives with one request, and the list of refs is asked for once', async () => {
  const repository = await forge.createRepository('shop');
  let was = await repository.commit({ files: { a: '1' } });
  const before = forge.requests.length;
  const send = await opened(repository);
  for (const message of ['one', 'two']) {
    const { to, pack } = await emptyCommit(repository, was, message);
    expect(await send({ ref: REF, was, to }, pack)).toBeNull();
    expect(await repository.git('rev-parse', 'main')).toBe(to);
    was = to;
  }
  expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
  expect(forge.requests.slice(before)).toEqual([
    'GET /shop.git/info/refs?service=git-receive-pack',
    'POST /shop.git/git-receive-pack',
    'POST /shop.git/git-receive-pack',
  ]);
});

test('nothing changes where the ref is elsewhere by now, where it is to be made and is there, or where the pack is broken', async () => {
  const repository = await forge.createRepository('elsewhere');
  const old = await repository.commit({ files: { a: '1' } });
  const now = await repository.commit({ files: { a: '2' } });
  const send = await opened(repository);
  const { to, pack } = await emptyCommit(repository, old, 'late');
  expect(await send({ ref: REF, was: old, to }, pack)).toMatch(/\[remote rejected\] \(failed to update ref\)$/);
  expect(await send({ ref: REF, was: null, to }, pack)).toMatch(/\[remote rejected\]/);
  await expect(send({ ref: REF, was: now, to }, pack.subarray(0, -3))).rejects.toMatchObject({
    code: 'git.pack-refused',
  });
  expect(await repository.git('rev-parse', 'main')).toBe(now);
});

test('a server that does not say that it can do it so is left to git', async () => {
  const repository = await forge.createRepository('simple');
  const head = await repository.commit({ files: { a: '1' } });
  forge.answer = () => ({ status: 200, body: `003f${head} ${REF}\0 report-status\n0000` });
  expect(await openSendPack({ url: repository.url, allow }, 'sha1')).toBeNull();
  forge.answer = undefined;
  expect(await openSendPack({ url: repository.url, allow }, 'sha256')).toBeNull();
});

test('a server that says no word of what it can do is asked again', async () => {
  const repository = await forge.createRepository('odd');
  await repository.commit({ files: { a: '1' } });
  const remote = { url: repository.url, allow };
  for (const answer of [{ status: 408 }, { status: 200, body: '0008ERR \n' }, { status: 200, body: '0000' }]) {
    forge.answer = () => answer;
    await expect(openSendPack(remote, 'sha1')).rejects.toMatchObject({ code: 'git.protocol' });
  }
  forge.answer = undefined;
  expect(await openSendPack(remote, 'sha1')).not.toBeNull();
});

test('what a server says without a report is told', () => {
  expect(() => readReport(framed(Buffer.from('\u0003fatal: the quota is used up')), REF)).toThrow(
    'the quota is used up',
  );
  expect(() => readReport(framed(Buffer.from('ERR the quota is used up')), REF)).toThrow('ERR the quota is used up');
});

test('the credential travels in a header, and a refusal does not repeat it', async () => {
  const credential = { kind: 'basic', username: 'towpath', password: 'canary-7f3a' } as const;
  const locked = await startForge({ authorization: authorizationOf(credential) ?? '' });
  onTestFinished(() => locked.close());
  const repository = await locked.createRepository('secret');
  const was = await repository.commit({ files: { a: '1' } });
  const send = await opened(repository, async () => credential);
  const { to, pack } = await emptyCommit(repository, was, 'one');
  expect(await send({ ref: REF, was, to }, pack)).toBeNull();
  const wrong = await opened(repository, async () => ({ ...credential, password: 'canary-0000' })).catch(String);
  expect(wrong).toMatch(/refused our credential/);
  expect(String(wrong) + locked.requests.join()).not.toContain('canary');
});

const framed = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
const line = fc.oneof(
  fc.constantFrom('unpack ok\n', 'unpack disk full\n', `ok ${REF}\n`, `ng ${REF} no\n`, `ok ${REF}x\n`, 'ng', ''),
  fc.string({ maxLength: 12 }),
);
const report = fc.array(line, { maxLength: 4 }).map((lines) => lines.map((text) => framed(Buffer.from(text))));
const packet = fc.oneof(
  { weight: 4, arbitrary: report.map((lines) => framed(Buffer.concat([Buffer.of(1), ...lines]))) },
  fc.string({ maxLength: 30 }).map((text) => framed(Buffer.from(`\u0002${text}`))),
  fc.uint8Array({ maxLength: 20 }).map(framed),
  fc.constantFrom('0000', '0001', '0004', 'ffff', 'zzzz').map((text) => Buffer.from(text)),
);

test('whatever a server answers, it was done only where it says so, or it is said why not, or the answer is refused', () => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 6 }), (packets) => {
      const answer = Buffer.concat(packets);
      try {
        const said = readReport(answer, REF);
        if (said === null) expect(answer.includes(`ok ${REF}`) && answer.includes('unpack ok')).toBe(true);
        else expect(said.length).toBeLessThanOrEqual(500);
      } catch (error) {
        if (!hasCode(error, 'git.protocol', 'git.pack-refused')) throw error;
      }
    }),
    cases(500),
  );
});

test('a report is whole at its last byte, however it is cut into packets, and not before', () => {
  const lines = [...['unpack ok\n', `ok ${REF}\n`].map((text) => framed(Buffer.from(text))), Buffer.from('0000')];
  const whole = Buffer.concat(lines);
  fc.assert(
    fc.property(
      fc.array(fc.nat(whole.length), { maxLength: 4 }),
      fc.string({ maxLength: 9 }),
      fc.integer({ min: 1, max: 50 }),
      (places, words, step) => {
        const cuts = [0, ...places.toSorted((one, other) => one - other), whole.length];
        const said = framed(Buffer.from(`\u0002${words}`));
        const parts = cuts
          .slice(1)
          .flatMap((end, at) => [said, framed(Buffer.concat([Buffer.of(1), whole.subarray(cuts[at], end)]))]);
        const answer = Buffer.concat(parts);
        const cutOff = Buffer.concat([answer, said.subarray(0, -1)]); // by a proxy, or by who reads no more
        expect(readReport(cutOff, REF)).toBeNull();
        const isOver = reportEnds();
        const early = cuts.at(-2) === whole.length ? 0 : answer.length - 1; // the last packets may hold nothing of it
        for (let at = 0; at < early; at += step)
          expect(isOver(answer.subarray(at, Math.min(at + step, early)))).toBe(false);
        expect(isOver(cutOff.subarray(early))).toBe(true);
        expect(isOver(said)).toBe(true);
      },
    ),
    cases(200),
  );
});

test('where a ref was refused, what is cut off behind that is no other word', () => {
  const lines = ['unpack ok\n', `ng ${REF} hook declined\n`].map((text) => framed(Buffer.from(text)));
  const answer = Buffer.concat([
    framed(Buffer.concat([Buffer.of(1), ...lines, Buffer.from('0000')])),
    Buffer.from('00'),
  ]);
  expect(readReport(answer, REF)).toContain('hook declined');
});

test('what is no git protocol is no report, whatever comes after it', () => {
  const isOver = reportEnds();
  const report = framed(Buffer.from('\u00010000'));
  for (const piece of ['<html>', report, report]) expect(isOver(Buffer.from(piece))).toBe(false);
});

async function opened(
  { url }: ForgeRepository,
  credential?: () => Promise<{ kind: 'basic'; username: string; password: string }>,
): Promise<SendPack> {
  const send = await openSendPack({ url, allow, ...(credential === undefined ? {} : { credential }) }, 'sha1');
  if (send === null) throw new Error('The server does not say that it can do it so.');
  return send;
}

/** A commit upon another, with the same files. */
async function emptyCommit(
  repository: ForgeRepository,
  parent: string,
  message: string,
): Promise<{ to: string; pack: Buffer }> {
  const tree = await repository.git('rev-parse', `${parent}^{tree}`);
  const who = 'Towpath <towpath@example.com> 1790000000 +0000';
  const text = `tree ${tree}\nparent ${parent}\nauthor ${who}\ncommitter ${who}\n\n${message}\n`;
  const commit = { type: 'commit' as const, bytes: Buffer.from(text) };
  const to = oidOf('sha1', commit);
  return { to, pack: await packOf('sha1', new Map([[to, commit]])) };
}
