import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Role } from '../src/access/permission.ts';
import { testServer, type TestServer } from '../src/http/testing/server.ts';
import { addMember } from '../src/http/testing/world.ts';
import { programPath } from '../tools/packages.js';

let browser: Browser;
let house: TestServer;
let base: string;
let page: Page;
let troubles: string[];

beforeAll(async () => {
  const executablePath = programPath('chromium');
  if (executablePath === null)
    throw new Error('There is no chromium. Run `make test`, which installs it where it may.');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterAll(() => browser.close());

beforeEach(async () => {
  troubles = [];
  house = await testServer();
  base = await house.listen();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(60_000);
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
});
afterEach(async () => {
  await page.close();
  await house.server.close();
});

async function signIn(role: Role, user = 'ada'): Promise<void> {
  const principal = await house.guard.identify(await house.token(role, user), 'token');
  if (principal === null) throw new Error('The token is valid.');
  const { code } = await house.guard.invite(principal);
  await page.goto(`${base}/#code=${code}`);
  await page.getByRole('heading', { name: 'shop' }).waitFor();
}

const column = (name: string) => page.getByRole('columnheader', { name: new RegExp(`^${name}`) });
const dialog = () => page.getByRole('dialog');

test('a link opens the page as its owner, and its code is gone from the address', async () => {
  await signIn('developer');
  expect(page.url()).toBe(`${base}/`);
  await page.getByText('ada (developer)').waitFor();
  await page.getByText('live', { exact: true }).waitFor();
  await column('prod').getByText('#1 v1.0.0').waitFor();
  const folder = process.env['TOWPATH_SCREENSHOTS'] ?? (await mkdtemp(join(tmpdir(), 'towpath-page-')));
  await page.screenshot({ path: join(folder, 'matrix.png'), fullPage: true });
  await page.reload();
  await column('prod').waitFor();
  expect(troubles).toEqual([]);
});

test('a link of a git host opens the story of what it tells of, over the matrix', async () => {
  await signIn('viewer');
  await page.goto(`${base}/#project=shop&why=prod`);
  await dialog().getByRole('heading', { name: 'Why: prod' }).waitFor();
  expect(troubles).toEqual([]);
});

test('what speaks against what runs is on the matrix, and why of a release shows each condition with its answers', async () => {
  const revoked = {
    check: 'checkout',
    type: 'smoke' as const,
    service: 'web',
    verdict: 'failed' as const,
    summary: '2 of 9 failed',
  };
  const prod = house.useCases.world.environments.find(({ name }) => name === 'prod');
  Object.assign(prod ?? {}, {
    revoked: [{ ...revoked, evidence: 'evi_2', logId: null, since: new Date().toISOString() }],
  });
  await signIn('viewer');
  await column('prod')
    .getByText(/^checkout \(smoke\) of web failed .* for what runs here: 2 of 9 failed$/)
    .waitFor();
  const folder = process.env['TOWPATH_SCREENSHOTS'] ?? (await mkdtemp(join(tmpdir(), 'towpath-page-')));
  await page.screenshot({ path: join(folder, 'revoked.png'), fullPage: true });
  await page.goto(`${base}/#project=shop&why=v1.0.0`);
  await dialog().getByText('prod refuses it: lint failed').waitFor();
  await dialog()
    .getByText(/^unit \(integration\) of web passed .* reused from #1 \(1111111\)/)
    .waitFor();
  await dialog().getByRole('button', { name: '3 files' }).click();
  await dialog().getByText('shots/old.svg: gone').waitFor();
  await expect
    .poll(() =>
      dialog()
        .getByRole('img')
        .evaluateAll((all) => all.map((one) => Reflect.get(one, 'naturalWidth'))),
    )
    .toEqual([1]);
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    dialog().getByRole('link', { name: 'report/index.html' }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe('index.html');
  await page.screenshot({ path: join(folder, 'why.png') });
  expect(troubles).toEqual([]);
});

test('the release that runs leads to its why, and to approve is offered only where that is waited for', async () => {
  await house.useCases.promotions.request({ project: 'shop', environment: 'prod', release: 'v1.1.0' }, 'ada');
  const prod = house.useCases.world.environments.find(({ name }) => name === 'prod');
  Object.assign(prod ?? {}, { open: prod?.open.map((one) => ({ ...one, gates: ['unit'] })) });
  await signIn('operator', 'olga');
  await column('prod').getByRole('button', { name: 'Cancel #2' }).waitFor();
  expect(await column('prod').getByRole('button', { name: 'Approve #2' }).count()).toBe(0);
  await column('prod').getByRole('button', { name: '#1 v1.0.0' }).click();
  await dialog().getByRole('heading', { name: 'Why: #1' }).waitFor();
  expect(troubles).toEqual([]);
});

test('who is not signed in is told how', async () => {
  await page.goto(base);
  await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
  await page.getByText('towpath open').waitFor();
  await page.goto(`${base}/#code=twc_${'a'.repeat(43)}`); // only the part behind the # changes: the page starts anew by itself
  await page.getByText('older than two minutes').waitFor();
});

test('a release goes to production by two people, and both see it as it happens', async () => {
  await signIn('developer');
  await column('prod').getByRole('button', { name: 'Promote into prod' }).click();
  await dialog().getByLabel('Release').selectOption({ label: '#2 v1.1.0 Receipts show the tax' });
  await dialog().getByText('It would wait.').waitFor();
  await dialog().getByText('+ bbbbbbb Checkout in one step').waitFor();
  await dialog().getByRole('button', { name: 'Promote' }).click();
  await column('prod').getByText('waits for 1 approval of release-managers').waitFor();

  const [promotion] = house.useCases.world.promotions;
  await house.useCases.promotions.approve(promotion?.id ?? '', undefined, 'bob');
  await column('prod').getByText('#2 v1.1.0', { exact: true }).waitFor();
  expect(troubles).toEqual([]);
});

test('approving, holding, resuming, rolling back and asking why work from the page', async () => {
  await signIn('operator', 'olga');
  await house.useCases.promotions.request({ project: 'shop', environment: 'prod', release: 'v1.1.0' }, 'ada');
  await column('prod').getByRole('button', { name: 'Approve #2' }).click();
  await dialog().getByLabel('Comment').fill('looks right');
  await dialog().getByRole('button', { name: 'Approve' }).click();
  await column('prod').getByText('#2 v1.1.0', { exact: true }).waitFor();

  await column('qa').getByRole('button', { name: 'Hold qa' }).click();
  await dialog().getByLabel('Reason').fill('audit week');
  await dialog().getByRole('button', { name: 'Hold' }).click();
  await expect.poll(() => house.useCases.world.deeds.at(-1)).toEqual({ by: 'olga', deed: 'hold qa' });
  await page.reload();
  await column('qa').getByText('held by olga: audit week').waitFor();

  await column('prod').getByRole('button', { name: 'Roll back prod' }).click();
  await dialog().getByText('It would go at once.').waitFor();
  await dialog().getByRole('button', { name: 'Roll back' }).click();
  await expect.poll(() => house.useCases.world.deeds.at(-1)).toEqual({ by: 'olga', deed: 'rollback prod' });

  await column('prod').getByRole('button', { name: 'Why' }).click();
  await dialog().getByText('waits for 1 approval').waitFor();
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });
  expect(troubles).toEqual([]);
});

test('a refusal is shown where it happened, and nothing is lost', async () => {
  await signIn('developer');
  await house.useCases.releases.yank('shop', 'v1.1.0', 'wrong tax', 'olga');
  await column('prod').getByRole('button', { name: 'Promote into prod' }).click();
  await dialog().getByLabel('Release').selectOption({ label: '#2 v1.1.0 Receipts show the tax' });
  await dialog().getByText('It would be refused.').waitFor();
  await dialog().getByText('yank: it is yanked').waitFor();
});

test('of several repositories each is a group of rows, and what is done there is done in its place', async () => {
  addMember(house.useCases.world, 'api');
  await signIn('operator', 'olga');
  expect(await page.getByRole('columnheader').allInnerTexts()).toHaveLength(5);
  const group = page.getByRole('row', { name: /^api\s+repository/ });
  await group.getByText('#4 main').waitFor();
  await group.getByRole('button', { name: 'Hold qa.api' }).click();
  await dialog().getByLabel('Reason').fill('audit week');
  await dialog().getByRole('button', { name: 'Hold' }).click();
  await expect.poll(() => house.useCases.world.deeds.at(-1)).toEqual({ by: 'olga', deed: 'hold qa.api' });
  await page.reload();
  await group.getByText('held by olga: audit week').waitFor();
  const home = page.getByRole('row', { name: /^home\s+repository/ });
  await home.getByRole('button', { name: 'Why is it so in qa.home' }).waitFor();
  await column('qa').getByRole('button', { name: 'Promote into qa' }).waitFor();
  expect(troubles).toEqual([]);
});

test('one who may only look has nothing to press but why', async () => {
  await signIn('viewer');
  const names = await page.getByRole('main').getByRole('button').allInnerTexts();
  // a release that runs somewhere leads to its own why
  expect(new Set(names.filter((name) => !name.startsWith('#')))).toEqual(new Set(['Why']));
});

test('a subject is text, whatever it looks like', async () => {
  const [, second] = house.useCases.world.releases;
  const demo = house.useCases.world.environments[1];
  if (second === undefined || demo?.current === null || demo === undefined) throw new Error('The world has them.');
  const subject = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  house.useCases.world.environments[1] = { ...demo, current: { ...demo.current, subject } };
  await signIn('viewer');
  await column('demo').getByText('<img src=x').waitFor();
  expect(await page.title()).toBe('Towpath');
  expect(troubles).toEqual([]);
});

test('the keyboard keeps its place when the matrix is drawn anew', async () => {
  await signIn('developer');
  await column('qa').getByRole('button', { name: 'Hold qa' }).focus();
  await house.useCases.environments.hold('shop', 'demo', 'fair', 'bob');
  house.useCases.world.tell('environment.changed', 'demo');
  await column('demo').getByText('held by bob').waitFor();
  expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toBe('Hold qa');
});

test.each(['nobody', 'a proxy'])(
  'while %s answers for a server, the page says so, and it comes back by itself',
  async (who) => {
    await signIn('viewer');
    await page.getByText('live', { exact: true }).waitFor();
    const port = Number(new URL(base).port);
    await house.server.close();
    await page.getByText('reconnecting').waitFor();
    if (who === 'a proxy') await badGateway(port);
    const guard = house.guard;
    house = await testServer({ guard });
    await house.server.listen({ host: '127.0.0.1', port });
    await page.getByText('live', { exact: true }).waitFor();
  },
);

/** Answers as a proxy does whose server is away, until it was asked for events: a browser does not ask for these again by itself. */
async function badGateway(port: number): Promise<void> {
  const proxy = createServer((_request, response) => response.writeHead(502).end());
  const asked = new Promise<void>((resolve) => {
    proxy.on('request', ({ url }, response) => {
      if (url === '/api/v1/events') response.once('finish', resolve);
    });
  });
  proxy.listen(port, '127.0.0.1');
  await asked;
  proxy.closeAllConnections();
  await new Promise((resolve) => proxy.close(resolve));
}
