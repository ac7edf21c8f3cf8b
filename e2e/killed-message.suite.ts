import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startMail, type TestMail } from '../src/notify/testing/mail.ts';
import { type Receiver, startReceiver } from '../src/notify/testing/receiver.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { embeddedUrl } from './testing/kill/stage.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { smallShop } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

/** Between any two of them the server is killed. */
const STEPS = ['read', 'wanted', 'claimed', 'tried', 'sent', 'settled'];

/** The receiver has it, and nobody here knows: only there it comes twice. */
const UNHEARD = 'sent';

const CHANNELS = {
  mailed: 'people: { email: { to: ana@shop.test } }',
  posted: 'hook: { webhook: { url: "HOOK", secret: env:HOOK_SECRET } }',
};
type Project = keyof typeof CHANNELS;
const projects = Object.keys(CHANNELS) as Project[];

let mail: TestMail;
let receiver: Receiver;
let server: TestServer;
let store: Store;
let armed: string;
let trace: string;
const repositories: TestRepository[] = [];
const releases = new Map<string, string>();

beforeAll(async () => {
  [mail, receiver] = await Promise.all([startMail(), startReceiver()]);
  server = await startServer({
    env: {
      TOWPATH_SMTP: `smtp+plain://127.0.0.1:${mail.server.port}`,
      TOWPATH_SMTP_FROM: mail.server.from,
      TOWPATH_OUTGOING_ALLOW: '127.0.0.1',
      HOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
    },
  });
  [armed, trace] = [join(server.data, 'armed'), join(server.data, 'trace')];
  await server.restart({ TOWPATH_FAULT: `@${armed}`, TOWPATH_FAULT_TRACE: trace });
  store = await openStore(await embeddedUrl(server.data), { maxConnections: 1 });
  for (const project of projects) {
    const repository = await createRepository();
    repositories.push(repository);
    const files = smallShop({ project });
    const notify = `notify:\n  ${CHANNELS[project].replace('HOOK', receiver.url)}\n`;
    const commit = await repository.commit('first', { ...files, 'towpath.yaml': `${files['towpath.yaml']}${notify}` });
    await server.client.call('project.add', { body: { url: repository.url } });
    await storyOf(server, project).live('qa', commit);
    releases.set(project, commit);
  }
  await until(async () => {
    const { rows } = await store.pool.query(
      'select from towpath.message_cursor where event_id >= (select max(id) from towpath.event)',
    );
    return rows.length > 0 || null; // what is live by now is told to nobody, but looked at
  });
}, 300_000);

afterAll(async () => {
  await store.close();
  await server.dispose();
  await Promise.all([mail.close(), receiver.close(), ...repositories.map((repository) => repository.remove())]);
});

describe.each(projects)('%s', (project) => {
  test('without a kill it is told once, by the steps that are killed below', async () => {
    await writeFile(trace, '');
    const reason = `${project} without a kill`;
    await yank(project, reason);
    await told(reason);
    const passed = (await readFile(trace, 'utf8')).split('\n').filter((name) => name.startsWith('messages:'));
    expect(passed).toEqual(STEPS.map((step) => `messages:${step}:done`));
    expect(await idsOf(project, reason)).toHaveLength(1);
  });

  test.each(STEPS)('killed when it has %s, it tells it, and nothing twice but under one id', async (step) => {
    const reason = `${project} and killed when ${step}`;
    await writeFile(armed, `messages:${step}:done`);
    await yank(project, reason);
    await until(() => (server.process.signalCode === 'SIGKILL' ? true : null));
    await server.restart({ TOWPATH_FAULT: `@${armed}`, TOWPATH_FAULT_TRACE: trace });
    await store.pool.query('update towpath.notify_channel set next_at = null'); // the lease of the dead has run out
    await told(reason);
    const ids = await idsOf(project, reason);
    expect(ids).toHaveLength(step === UNHEARD ? 2 : 1);
    expect(new Set(ids).size).toBe(1);
  });
});

test('afterwards nothing more was told, and each thing has an id of its own', async () => {
  for (const project of projects) {
    const ids = await idsOf(project, '');
    expect(ids).toHaveLength(STEPS.length + 2);
    expect(new Set(ids).size).toBe(STEPS.length + 1);
  }
});

/** A server that dies of it may take the answer with it; the event is there by then. */
async function yank(project: Project, reason: string): Promise<void> {
  const params = { project, release: releases.get(project) ?? '' };
  await server.client.call('release.unyank', { params });
  await server.client.call('release.yank', { params, body: { reason } }).catch(() => undefined);
}

/** And whoever told it has let its channel go. */
async function told(reason: string): Promise<void> {
  await until(async () => {
    const { rows } = await store.pool.query(
      `select from towpath.message join towpath.delivery on message_id = id
       where told_at is not null and strpos(content::text, $1) > 0
         and not exists (select from towpath.notify_channel where next_at is not null)`,
      [reason],
    );
    return rows.length > 0 || null;
  });
}

/** By which a receiver knows what it has already, of all that came of this. */
async function idsOf(project: Project, reason: string): Promise<string[]> {
  if (project === 'posted')
    return receiver.taken
      .filter(({ body }) => body.includes(reason))
      .map(({ headers }) => String(headers['webhook-id']));
  const mails = await mail.mails();
  return mails.filter(({ text }) => text.includes(reason)).map(({ headers }) => headers['message-id'] ?? '');
}
