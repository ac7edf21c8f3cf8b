import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Message } from '../../notify/message.ts';
import { type Mail, startMail, type TestMail } from '../../notify/testing/mail.ts';
import { type Receiver, startReceiver } from '../../notify/testing/receiver.ts';
import { until } from '../testing/until.ts';
import { createWorld, type World } from '../testing/world.ts';
import { collectMessages } from './collect.ts';
import { deliverMessages } from './deliver.ts';

const SECRET = 'whsec_dGhlIGNhbmFyeSBvZiBhIHNlY3JldCBvZiB3ZWJob29rcw==';

let world: World;
let receiver: Receiver;
let mail: TestMail;

const config = (hook: string) => `
services:
  web:
    path: services/web
    build: text
    checks: { unit: { run: test, during: build }, scan: { run: test } }
roles: { managers: [olga] }
users: { olga: [olga@shop.test], ada: [Ada, ada@shop.test] }
environments:
  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 1d }, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  twin: { on: manual, accepts: any, gates: [scan], deploy: stage, settle: 0ms }
  prod: { on: manual, from: qa, gates: [{ approvals: { of: managers } }], deploy: stage, settle: 0ms }
notify:
  people: { email: { to: [authors, approvers, ops@shop.test] } }
  chat: { slack: { url: env:SLACK }, environments: [preview, prod] }
  hook: { webhook: { url: "${hook}/hook", secret: env:HOOK }, branches: "**" }
`;

beforeAll(async () => {
  [receiver, mail] = await Promise.all([startReceiver(), startMail()]);
  world = await createWorld('told-people', config(receiver.url), { says: { web: 'hello' } });
  Object.assign(world.env, { HOOK: SECRET, SLACK: `${receiver.url}/slack` });
  world.mail = mail.server;
  await world.live('qa', await world.git('rev-parse', 'main'));
  await tellAll();
}, 120_000);

afterAll(async () => {
  await world.end();
  await Promise.all([receiver.close(), mail.close()]);
});

test('who broke it, what broke and what fixed it is told once, to all who are to know', async () => {
  const broken = await world.push({ says: { web: 'broken by speed' }, author: 'Ada', message: 'Faster' });
  await world.promotion('qa', broken, 'rolled-back', 'failed');
  const told = await during(tellAll);
  expect(told.hooks).toMatchObject([
    { type: 'towpath.rolled-back', data: { project: 'told-people', commits: { newest: [{ subject: 'Faster' }] } } },
  ]);
  expect(told.chats).toEqual([]); // of other environments
  expect(told.mails.map(({ to }) => to)).toEqual(['ada@shop.test', 'ops@shop.test']);
  expect(told.mails[0]?.headers['subject']).toBe(
    `[told-people] qa: release ${broken.slice(0, 7)} failed and was rolled back`,
  );
  expect(told.mails[0]?.text).toContain(`${broken.slice(0, 7)} Faster (Ada)`);
  expect(await during(() => Promise.all([tellAll(), tellAll(), tellAll()]))).toEqual(NOTHING);

  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  const fix = await world.push({ says: { web: 'sound' }, author: 'Bo', message: 'Slower' });
  await world.live('qa', fix);
  const fixed = await during(tellAll);
  expect(fixed.hooks).toMatchObject([
    { type: 'towpath.fixed', data: { title: `[told-people] qa: fixed by release ${fix.slice(0, 7)}` } },
  ]);
  expect(fixed.mails.map(({ to, headers }) => [to, headers['in-reply-to']])).toEqual(
    told.mails.map(({ to, headers }) => [to, headers['message-id']]),
  );
  await world.live('qa', await world.push({ says: { web: 'sounder' } }));
  expect(await during(tellAll)).toEqual(NOTHING); // nothing was broken
});

test('a branch whose release has no artifacts is told to those who want to know of it, and that it builds again', async () => {
  world.answer = () => ({ kind: 'exited', code: 1 });
  await built(await world.push({ branch: 'other', from: 'main', says: { web: 'untested' } }), 'failed');
  world.answer = () => ({ kind: 'exited', code: 0 });
  const told = await during(tellAll);
  expect(told.hooks).toMatchObject([{ type: 'towpath.build-failed', data: { place: { branches: ['other'] } } }]);
  expect(told.mails).toEqual([]); // no word of other branches than the default one was wanted
  await built(await world.push({ branch: 'other', says: { web: 'tested' } }), 'ready');
  expect((await during(tellAll)).hooks).toMatchObject([{ type: 'towpath.fixed' }]);
});

test('approvers are asked once, however often the promotion looks again', async () => {
  const head = await world.git('rev-parse', 'main');
  const { id } = await world.request('prod', head);
  await world.says(id, 'approval');
  const told = await during(tellAll);
  expect(told.mails.map(({ to }) => to).toSorted()).toEqual(['olga@shop.test', 'ops@shop.test']);
  expect(told.chats[0]).toContain('prod: release');
  expect(told.chats[0]).toContain('waits for approval');
  await world.house.store.transaction((tx) => world.house.starts.promote(tx, id));
  await world.says(id, 'approval');
  expect(await during(tellAll)).toEqual(NOTHING);
  await world.useCases.promotions.cancel(id, 'olga');
});

test('an answer that takes a pass back is told once, however many environments run what it is about, and so is the next pass', async () => {
  const { releases } = world.useCases;
  await world.commit({ says: { web: 'to be scanned' }, author: 'Ada', message: 'One' });
  const head = await world.push({ says: { web: 'to be scanned again' }, author: 'Bo', message: 'Two' });
  await world.live('qa', head);
  await world.reaches((await world.request('twin', head)).id, 'live');
  await tellAll();
  const again = async (code: number, verdict: string) => {
    world.answer = () => ({ kind: 'exited', code });
    await releases.test(world.project, head, 'scan', 'olga');
    await until(async () => {
      const { evidence } = await releases.show(world.project, head);
      return evidence.some((one) => one.check === 'scan' && one.verdict === verdict) ? true : null;
    });
  };
  const told = await during(async () => {
    await again(1, 'failed');
    await Promise.all([tellAll(), tellAll(), tellAll()]);
  });
  expect(told.hooks).toMatchObject([
    {
      type: 'towpath.revoked',
      data: {
        title: `[told-people] qa and twin: scan of web fails for release ${head.slice(0, 7)}, which runs there`,
        fix: expect.stringContaining('`towpath rollback qa`') as string,
        place: { environment: 'qa', beside: ['twin'], preview: false },
      },
    },
  ]);
  expect(told.mails.map(({ to }) => to)).toEqual(['ada@shop.test', 'ops@shop.test']); // git alone knows Bo, who wrote the newest
  expect(told.chats).toEqual([]);
  const cleared = await during(async () => {
    await again(0, 'passed');
    await tellAll();
  });
  expect(cleared.hooks).toMatchObject([
    { type: 'towpath.fixed', data: { title: expect.stringContaining('scan of web passes again') as string } },
  ]);
  expect(cleared.mails.map(({ headers }) => headers['in-reply-to'])).toEqual(
    told.mails.map(({ headers }) => headers['message-id']),
  );
});

test('a yank is told with where it runs, each yank once', async () => {
  const head = await world.git('rev-parse', 'main');
  for (const reason of ['It loses orders', 'It does so again.']) {
    await world.useCases.releases.yank(world.project, head, reason, 'olga');
    const { hooks, mails } = await during(tellAll);
    expect(mails.map(({ to }) => to)).toEqual(['ada@shop.test', 'ops@shop.test']);
    expect(hooks).toMatchObject([
      { type: 'towpath.yanked', data: { what: expect.stringContaining(reason) as string } },
    ]);
    expect(hooks[0]?.data.what).toContain('It runs in qa');
    await world.useCases.releases.unyank(world.project, head, 'olga');
  }
  expect(await during(tellAll)).toEqual(NOTHING);
});

async function built(commit: string, state: 'ready' | 'failed'): Promise<void> {
  await until(async () => {
    const { items } = await world.useCases.releases.list(world.project, { limit: 20 });
    return items.some((release) => release.commit === commit && release.state === state);
  });
}

test('a channel is tried by a message that says so, and what stands in its way is to be seen', async () => {
  const { channels } = world.useCases;
  const told = await during(async () => {
    expect((await channels.test(world.project, 'people', 'ada')).results).toEqual([
      { receiver: 'ops@shop.test', problem: null },
      { receiver: 'ada@shop.test', problem: null },
    ]);
    await channels.test(world.project, 'hook', 'ada');
  });
  expect(told.mails).toHaveLength(2);
  expect(told.hooks).toMatchObject([{ type: 'towpath.test' }]);
  await expect(channels.test(world.project, 'constructor', 'ada')).rejects.toMatchObject({
    code: 'notify.unknown-channel',
  });
  world.mail = null;
  expect((await channels.test(world.project, 'people', 'ada')).results[0]?.problem?.code).toBe('notify.no-mail-server');
  world.mail = mail.server;
  delete world.env['HOOK'];
  await world.useCases.releases.yank(world.project, await world.git('rev-parse', 'main'), 'It is slow', 'olga');
  await tellAll();
  world.env['HOOK'] = SECRET;
  expect(await channels.list(world.project)).toMatchObject([
    { name: 'chat', kind: 'slack', waiting: 0, problem: null },
    { name: 'hook', kind: 'webhook', waiting: 1, problem: { code: 'secret.missing' } },
    { name: 'people', kind: 'email', waiting: 0, givenUp: 0, problem: null },
  ]);
});

const NOTHING = { hooks: [], chats: [], mails: [] };

async function tellAll(): Promise<void> {
  await collectMessages(world.house);
  await deliverMessages(world.house, new AbortController().signal);
}

interface Told {
  readonly hooks: { readonly type: string; readonly data: Message }[];
  readonly chats: string[];
  readonly mails: Mail[];
}

/** What came while that was done; every webhook is verified. */
async function during(work: () => Promise<unknown>): Promise<Told> {
  const before = (await mail.mails()).length;
  receiver.taken.length = 0;
  await work();
  const verified = receiver.taken.filter(({ path }) => path === '/hook');
  return {
    hooks: verified.map(({ headers, body }) => {
      const flat = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
      return new Webhook(SECRET).verify(body, flat) as { type: string; data: Message };
    }),
    chats: receiver.taken
      .filter(({ path }) => path === '/slack')
      .map(({ body }) => (JSON.parse(body) as { text: string }).text),
    mails: (await mail.mails()).slice(before),
  };
}
