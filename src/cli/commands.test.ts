import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';

import type { PromotionView } from '../flow/view/promotion.ts';
import { fakeUseCases } from '../http/testing/fake-use-cases.ts';
import { testServer, type TestServer } from '../http/testing/server.ts';
import { addMember } from '../http/testing/world.ts';
import type { UpOptions } from './house.ts';
import { runLine, type Outcome, type RunOptions } from './testing/run.ts';

let house: TestServer;
let server: string;
let env: Record<string, string>;

beforeEach(async () => {
  house = await testServer();
  server = await house.listen();
  env = { TOWPATH_SERVER: server, TOWPATH_TOKEN: await house.token('admin') };
});
afterEach(() => house.server.close());

const towpath = (line: string, options: RunOptions = {}): Promise<Outcome> =>
  runLine(line.split(' '), { ...options, env: { ...env, ...options.env } });

test('status shows services and environments, and what is newer than its neighbour', async () => {
  const { exit, out, err } = await towpath('status');
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out).toMatch(/^shop +qa +demo +prod$/m);
  expect(out).toMatch(/^preview\/feature\/dark-header +#5 feature\/dark-header +\d+ (s|min|h) ago$/m);
  expect(out).toMatch(/#4 main +#2 v1\.1\.0 +#1 v1\.0\.0/);
  expect(out).toMatch(/^web +[0-9a-f]{12} > /m);
  expect(out).not.toContain('\u001b');
});

test('a preview is known by its branch, whatever else means that commit', async () => {
  const preview = house.useCases.world.environments.find(({ kind }) => kind === 'preview');
  const long = `feature/${'x'.repeat(60)}`;
  for (const branch of ['feature/dark-header', long]) {
    const names = ['v2.0.0', 'main', branch];
    Object.assign(preview ?? {}, { branch, current: { ...preview?.current, names } });
    expect((await towpath('status')).out).toMatch(
      branch === long ? /#5 feature\/x{39}…  /m : /#5 feature\/dark-header  /m,
    );
  }
});

test('what is yanked and runs is told in whole sentences, whatever the reason ends in', async () => {
  const prod = house.useCases.world.environments.find(({ name }) => name === 'prod');
  for (const reason of ['knows no euro', 'It knows no euro.']) {
    Object.assign(prod?.current ?? {}, { yank: { by: 'olga', reason, at: new Date().toISOString() } });
    expect((await towpath('status')).out).toMatch(/is yanked by olga: (It )?knows no euro\. [`A-Z]/);
  }
});

test('of several repositories each is a group of rows, headed by what it runs where', async () => {
  addMember(house.useCases.world, 'api');
  const { out } = await towpath('status');
  const rows = out.split('\n').map((line) => line.split(/ {2,}/));
  expect(rows.filter(([first]) => first === 'shop')).toEqual([['shop', 'qa', 'demo', 'prod']]);
  expect(rows.filter(([first]) => first === 'home' || first === 'api')).toMatchObject([
    ['home', '#4 main', '#2 v1.1.0', '#1 v1.0.0'],
    ['api', '#4 main', '#2 v1.1.0', '#1 v1.0.0'],
    ['api', expect.stringMatching(/^[0-9a-f]{12} >$/), expect.any(String), expect.any(String)],
  ]);
  expect(rows.flatMap(([first]) => first)).toEqual(
    expect.arrayContaining(['home', '', 'web', 'worker', 'receipt', 'api', '', 'api']),
  );
});

test('with --json stdout is one document, and everything else is on stderr', async () => {
  const { out } = await towpath('status --json');
  expect(JSON.parse(out)).toMatchObject({ projects: [{ name: 'shop' }] });
  const failed = await towpath('promote v9 qa --json');
  expect(failed.out).toBe('');
  expect(JSON.parse(failed.err)).toMatchObject({ code: 'release.missing' });
  expect(failed.exit).toBe(1);
});

test('promote brings a release in and says where it stands', async () => {
  const { exit, out } = await towpath('promote v1.1.0 qa --wait');
  expect(exit).toBe(0);
  expect(out).toMatch(/#2 -> qa: live/);
  expect(house.useCases.world.deeds).toContainEqual({ by: 'ada', deed: 'promote v1.1.0 to qa' });
});

test('a dry run asks the policy and does nothing', async () => {
  const { exit, out } = await towpath('promote v1.1.0 prod --dry-run');
  expect(exit).toBe(0);
  expect(out).toContain('It would wait.');
  expect(out).toContain('release-managers');
  expect(house.useCases.world.promotions).toEqual([]);
  await towpath('yank v1.1.0 --reason broken');
  expect((await towpath('promote v1.1.0 prod --dry-run')).exit).toBe(3);
});

test('with --json wrong words are a problem too, with the word that was probably meant', async () => {
  const { exit, out, err } = await towpath('promot v1.1.0 qa --json');
  expect({ exit, out }).toEqual({ exit: 64, out: '' });
  expect(JSON.parse(err)).toMatchObject({
    code: 'cli.usage-invalid',
    what: "Unknown command 'promot' (Did you mean promote?)",
    fix: expect.stringContaining('--help') as string,
  });
});

test('what the policy refuses exits with 3, wrong words with 64, no access with 4', async () => {
  await towpath('yank v1.1.0 --reason broken');
  expect((await towpath('promote v1.1.0 qa')).exit).toBe(3);
  expect((await towpath('promote v1.1.0')).exit).toBe(64);
  expect((await towpath('promot v1.1.0 qa')).exit).toBe(64);
  expect((await towpath('promote v1.1.0 qa --dry')).exit).toBe(64);
  expect((await towpath('promote v1.1.0 qa --timeout soon')).exit).toBe(64);
  expect((await towpath('status', { env: { TOWPATH_TOKEN: 'wrong' } })).exit).toBe(4);
  const viewer = { TOWPATH_TOKEN: await house.token('viewer', 'vera') };
  const { exit, err } = await towpath('yank v1.0.0 --reason no', { env: viewer });
  expect(exit).toBe(4);
  expect(err).toContain('vera lacks the permission release:yank');
});

test('an approval is given by the name of the environment, and wakes who waits', async () => {
  const bob = { TOWPATH_TOKEN: await house.token('approver', 'bob') };
  let approved: Promise<Outcome> | undefined;
  const waiting = towpath('promote v1.1.0 prod --wait', {
    onWrite: (text) => {
      if (text.includes('waits for')) approved ??= towpath('approve prod --comment fine', { env: bob });
    },
  });
  const { exit, out, err } = await waiting;
  expect({ exit, ...(await approved) }).toMatchObject({ exit: 0 });
  expect(err).toContain('waiting, waits for 1 approval of release-managers');
  expect(out).toMatch(/#2 -> prod: live/);
  expect(house.useCases.world.deeds).toContainEqual({ by: 'bob', deed: 'approved pro_1' });
});

test('a rejected promotion ends whoever waits for it with 3', async () => {
  const waiting = towpath('promote v1.1.0 prod --wait', {
    onWrite: (text) => {
      if (text.includes('waits for')) void towpath('reject prod');
    },
  });
  expect((await waiting).exit).toBe(3);
});

test('when the time is over the promotion goes on, and the exit code says so', async () => {
  const { exit, err } = await towpath('promote v1.1.0 prod --wait --timeout 50ms');
  expect(exit).toBe(75);
  expect(err).toContain('towpath why pro_1');
  expect(house.useCases.world.promotions[0]?.endedAt).toBeNull();
});

test('waiting outlasts a restart of the server', async () => {
  let restarted: Promise<unknown> | undefined;
  const port = Number(new URL(server).port);
  const restart = async () => {
    await house.server.close();
    const { useCases, guard } = house;
    house = { ...(await testServer({ useCases, guard })), useCases };
    await house.server.listen({ host: '127.0.0.1', port });
    await useCases.promotions.approve('pro_1', undefined, 'bob');
  };
  const { exit, out } = await towpath('promote v1.1.0 prod --wait', {
    onWrite: (text) => {
      if (text.includes('waits for')) restarted ??= restart();
    },
  });
  await restarted;
  expect(exit).toBe(0);
  expect(out).toContain('live');
});

test('Ctrl-C stops the waiting and nothing else', async () => {
  const ctrlC = new AbortController();
  const { exit } = await towpath('promote v1.1.0 prod --wait', {
    signal: ctrlC.signal,
    onWrite: (text) => {
      if (text.includes('waits for')) ctrlC.abort();
    },
  });
  expect(exit).toBe(2);
  expect(house.useCases.world.promotions[0]?.state).toBe('waiting');
});

test('a step back says why it cannot be, and holds when it was', async () => {
  const cannot = await towpath('rollback qa');
  expect(cannot.exit).toBe(1);
  expect(cannot.err).toContain('nothing ran here before');
  await towpath('promote v1.1.0 qa --wait');
  expect((await towpath('rollback qa --wait')).exit).toBe(0);
  expect((await towpath('status')).out).toContain('qa: held by ada');
  expect((await towpath('resume qa')).out).toBe('qa moves again.\n');
  expect((await towpath('resume qa')).out).toBe('qa was not on hold.\n');
});

test('test asks the checks again, waits for each answer, and its exit code is the verdict', async () => {
  const { world } = house.useCases;
  const tell = (kind: string, data: object) => world.tell(`check.${kind}`, 'rel_4', { test: 'tst_1', ...data });
  const asked = await towpath('test main integration');
  expect(asked).toMatchObject({ exit: 0, out: expect.stringContaining('asked integration of web') });

  let told = false;
  const answers = (kind: string) => ({
    onWrite: (text: string) => {
      if (told || !text.includes('waits for')) return;
      told = true;
      tell('failed', { test: 'tst_0', check: 'integration', service: 'web', summary: 'of another test' });
      tell('passed', { check: 'unit', service: 'web', summary: '9 tests passed' });
      const problem = { code: 'check.no-runner', what: 'No runner.', fix: 'Install one.' };
      tell(kind, {
        check: 'integration',
        ...(kind === 'unanswered' ? { problem } : { service: 'web', summary: '3 tests' }),
      });
    },
  });
  const passed = await towpath('test main --wait', answers('passed'));
  expect(passed).toMatchObject({ exit: 0, err: expect.stringContaining('waits for integration of web') });
  expect(passed.out).toMatch(/unit +web +passed +9 tests passed\nintegration +web +passed +3 tests/);
  for (const [kind, verdict, summary] of [
    ['failed', 'failed', '3 tests'],
    ['unanswered', 'unanswered', 'No runner.'],
  ] as const) {
    told = false;
    const { exit, out } = await towpath('test main --wait --json', answers(kind));
    expect(exit).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      verdict: 'failed',
      answers: [{ verdict: 'passed' }, { verdict, summary }],
    });
  }
  expect((await towpath('test main --wait --timeout 50ms')).exit).toBe(75);
});

test('cancel, hold, unyank, build, mix and refresh reach the server', async () => {
  await towpath('promote v1.1.0 prod');
  for (const line of [
    'cancel prod',
    'hold qa --reason audit',
    'yank v1.0.0 --reason old',
    'unyank v1.0.0',
    'build main',
    'release mix v1.0.0 --from web=main --from worker=v1.1.0',
    'project add https://git.example/other --name other',
    'project add docs/.. --name here',
    'project set --webhook-secret env:HOOK --credential none',
    'project set --notices env:NOTICES',
    'project set --repository api --credential env:API_TOKEN',
    'project refresh',
    'project remove shop --yes',
    'env stop qa --reason audit --wait',
    'env remove preview/feature/dark-header',
  ])
    expect(await towpath(line), line).toMatchObject({ exit: 0 });
  expect(house.useCases.world.deeds.map(({ deed }) => deed)).toEqual([
    'promote v1.1.0 to prod',
    'cancel pro_1',
    'hold qa',
    'yank v1.0.0',
    'unyank v1.0.0',
    'retry main',
    'mix v1.0.0 {"web":"main","worker":"v1.1.0"}',
    'add https://git.example/other',
    `add ${process.cwd()}`,
    'change shop {"credential":null,"webhookSecret":"env:HOOK"}',
    'change shop {"notices":"env:NOTICES"}',
    'change shop {"credential":"env:API_TOKEN","repository":"api"}',
    'refresh shop',
    'remove project shop',
    'stop qa',
    'remove preview/feature/dark-header',
  ]);
});

test('a project is not removed without --yes, and what would end is named', async () => {
  const { exit, err } = await towpath('project remove shop');
  expect(exit).toBe(64);
  expect(err).toContain('qa, demo, prod');
  expect(house.useCases.world.deeds).toEqual([]);
});

test('why, diff, lineage, audit, release and env tell what the server knows', async () => {
  expect((await towpath('why prod')).out).toContain('prod waits for 1 approval');
  expect((await towpath('diff qa prod')).out).toMatch(/^web +differs/m);
  expect((await towpath('diff qa prod --exit-code')).exit).toBe(1);
  expect((await towpath('lineage v1.0.0')).out).toContain('Releases\n#1');
  expect((await towpath('release list --limit 2')).err).toContain('--cursor 2');
  expect((await towpath('release show #3')).out).toContain('Read me: how to run it');
  expect((await towpath('env list')).out).toMatch(/^prod +static/m);
  expect((await towpath('env show prod')).out).toContain('1 approval of release-managers');
  await towpath('hold qa --reason audit');
  expect((await towpath('audit')).out).toContain('hold qa');
});

test('a promotion is named by its number in two words, and only within its project', async () => {
  await towpath('promote v1.1.0 prod');
  expect((await towpath('why promotion 1')).out).toContain('promotion 1 waits for');
  expect((await towpath('approve promotion #1')).exit).toBe(0);
  expect(house.useCases.world.deeds).toContainEqual({ by: 'ada', deed: 'approved pro_1' });
  const foreign = await towpath('cancel promotion 1 --project bank');
  expect(foreign).toMatchObject({ exit: 64, err: expect.stringContaining('There is no promotion 1 in bank') });
  expect((await towpath('cancel qa prod')).exit).toBe(64);
});

test('why of a release in one environment shows each condition with its evidence', async () => {
  const { out } = await towpath('why v1.0.0 prod --at 2026-05-01T09:00Z');
  expect(out).toContain('prod refuses it: lint failed');
  expect(out).toContain('  ok  unit: unit passed: web: 9 passed\n      unit (integration) of web passed 2');
  expect(out).toContain('evi_1, reused from #1 (1111111)');
  expect(out).toContain('  no  lint: lint failed\n      Fix it and push.\n  (Holds are not known.)');
  expect(await towpath('why v1.0.0 prod --at Monday')).toMatchObject({ err: expect.stringContaining('an instant') });
});

test('what keeps a release out of several environments is told once', async () => {
  const another = fakeUseCases();
  house.useCases.why = async (...asked) => {
    const view = await another.why(...asked);
    const what = '4f2a91c cannot run: the build failed.';
    const line = { gate: 'artifact', what, verdict: 'refuse' as const, fix: 'Fix it.', until: null, evidence: [] };
    const place = { verdict: 'refuse' as const, headline: `refuses it: ${what}`, lines: [line], unknown: [] };
    const names = ['dev', 'qa'].map((environment) => ({ ...place, environment, until: null, promotion: null }));
    return { ...view, reasons: [], environments: [...names, ...view.environments] };
  };
  const { out } = await towpath('why v1.0.0');
  expect(out).toContain(
    '\ndev, qa refuse it:\n  no  artifact: 4f2a91c cannot run: the build failed.\n      Fix it.\nprod',
  );
});

test('logs are those of a promotion, an environment, or the build of a service', async () => {
  await towpath('promote v1.1.0 prod');
  const log = 'npm ci\nadded 12 packages\ndone\n';
  for (const line of [
    'logs pro_1',
    'logs promotion 1',
    'logs log_1',
    'logs prod',
    'logs v1.0.0 web',
    'logs prod --follow',
  ])
    expect((await towpath(line)).out, line).toBe(log);
  expect((await towpath('logs v1.0.0')).err).toContain('web, worker, receipt');
  for (const line of ['logs v1.0.0 nosvc', 'logs prod nosvc'])
    expect((await towpath(line)).err, line).toContain('has no service and no answered check "nosvc"');
  expect((await towpath('logs log_1 --json')).out.split('\n')[0]).toBe('{"line":"npm ci"}');
});

test('what a service prints is shown with --output, and whose it is on stderr', async () => {
  expect(await towpath('logs prod web --output')).toMatchObject({
    exit: 0,
    out: 'listening\nGET /\nbye\n',
    err: '==> web aa-0 of promotion 12\n(lines before these are gone)\n',
  });
  const followed = await towpath('logs prod web -o --follow --tail 1');
  expect(followed.out).toBe('GET /\nbye\nlistening\n');
  expect(followed.err).toContain('==> web bb-0 of promotion 13\nNothing of web is left in prod.');
  expect((await towpath('logs prod web -o --json')).out.split('\n')[0]).toBe(
    '{"replica":"aa-0","promotion":12,"line":"listening"}',
  );
  expect(await towpath('logs prod worker -o')).toMatchObject({
    exit: 1,
    err: expect.stringContaining('Ask the server there: --server URL.'),
  });
  expect((await towpath('logs prod -o')).err).toContain('Name one of: ');
  expect((await towpath('logs prod --tail 5')).exit).toBe(64);
  const viewer = { TOWPATH_TOKEN: await house.token('viewer') };
  expect(await towpath('logs prod web -o', { env: viewer })).toMatchObject({
    exit: 4,
    err: expect.stringContaining('output:read'),
  });
});

test('output that is followed goes on after a break, where it was', async () => {
  const { output } = house.useCases;
  const { output: plain } = fakeUseCases();
  const asked: (string | undefined)[] = [];
  output.open = async (...names) => {
    const open = await plain.open(...names);
    return async function* (wish, signal) {
      asked.push(wish.after);
      for await (const batch of open(wish, signal)) {
        yield batch;
        if (wish.after === undefined && batch.seq === '1') return; // as when a stream is too old
      }
    };
  };
  expect((await towpath('logs prod web -o --follow')).out).toBe('listening\nGET /\nbye\nlistening\n');
  expect(asked).toEqual([undefined, '1']);
});

test('after a refusal the log of an environment is that of the promotion before it', async () => {
  await towpath('promote v1.1.0 qa');
  await towpath('promote v1.0.0 qa');
  const { logs, environments } = house.useCases;
  const { environments: shown } = fakeUseCases(house.useCases.world);
  environments.show = async (...args) => {
    const environment = await shown.show(...args);
    return { ...environment, open: [], history: environment.history.toReversed() };
  };
  const { logs: written } = fakeUseCases();
  logs.read = async (log, after) =>
    log === 'log_2' ? { lines: [], seq: '0', ended: false } : written.read(log, after);
  const { out, err } = await towpath('logs qa');
  expect(out).toBe('npm ci\nadded 12 packages\ndone\n');
  expect(err).toContain('promotion 1 (live). Newer ones did nothing yet');
  logs.read = async () => ({ lines: [], seq: '0', ended: false });
  expect(await towpath('logs qa')).toMatchObject({ exit: 64, err: expect.stringContaining('towpath why qa') });
});

test('the log of a check is asked by its name, that of the service that failed first', async () => {
  const { releases } = house.useCases;
  const { releases: plain } = fakeUseCases();
  const answer = {
    id: 'evi_1',
    check: 'unit',
    service: 'web',
    flaky: false,
    kept: 0,
    type: null,
    summary: '',
    at: '2026-11-21T00:00:00Z',
  };
  releases.show = async (...args) => ({
    ...(await plain.show(...args)),
    evidence: [
      { ...answer, verdict: 'passed', logId: 'no_log' },
      { ...answer, service: 'worker', verdict: 'failed', logId: 'log_7' },
    ],
  });
  expect((await towpath('logs v1.0.0 unit')).out).toContain('added 12 packages');
  expect((await towpath('logs v1.0.0 nosvc')).err).toContain('or a check: unit');
});

test('files that checks left are listed, and saved where nothing is yet', async () => {
  const { out } = await towpath('release files v1.0.0');
  expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual(
    expect.arrayContaining([
      ['e2e', 'web', '17 B', 'report/index.html'],
      ['e2e', 'web', 'gone', 'shots/old.svg'],
    ]),
  );
  const home = await mkdtemp(join(tmpdir(), 'files-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  await towpath(`release files v1.0.0 e2e --into ${home}/new`);
  expect(await readFile(join(home, 'new/e2e/web/report/index.html'), 'utf8')).toBe('<script></script>');
  expect(await readdir(join(home, 'new/e2e/web/shots'))).toEqual(['ä 1.png']);
  expect(await towpath(`release files v1.0.0 e2e --into ${home}/new`)).toMatchObject({ exit: 1 });
  expect(await towpath('release files v1.0.0 nosuch')).toMatchObject({ exit: 64 });
  const { evidence } = house.useCases;
  const { evidence: plain } = fakeUseCases();
  evidence.show = async (...args) => {
    const shown = await plain.show(...args);
    return { ...shown, files: shown.files.map((file) => ({ ...file, path: '../../../away' })) };
  };
  expect((await towpath(`release files v1.0.0 --into ${home}/other`)).err).toContain('which no folder can hold');
  expect(await readdir(home)).toEqual(['new']);
});

test('a token is printed once and works; a revoked one does not', async () => {
  const { out } = await towpath('token create --user bob --role viewer --ttl 1h');
  const bob = { TOWPATH_TOKEN: out.trim() };
  expect((await towpath('status', { env: bob })).exit).toBe(0);
  const list = (await towpath('token list')).out;
  expect(list).not.toContain(out.trim());
  const id = /^(tok_\w+) +bob/m.exec(list)?.[1] ?? '';
  expect((await towpath(`token revoke ${id}`)).exit).toBe(0);
  expect((await towpath('status', { env: bob })).exit).toBe(4);
  expect((await towpath('token create --user bob --role owner')).exit).toBe(64);
  const limited = { TOWPATH_TOKEN: (await towpath('token create --user ci --role viewer --project docs')).out.trim() };
  expect((await towpath('status --project shop', { env: limited })).err).toContain('limited to docs');
});

test('open prints a link whose code stays out of every log', async () => {
  const { out } = await towpath('open');
  expect(out).toMatch(new RegExp(`^${server}/#code=twc_[\\w-]{43}\n$`));
});

test('a subject cannot move the cursor or hide what is approved', async () => {
  const world = house.useCases.world;
  const [first] = world.releases;
  if (first) world.releases[0] = { ...first, subject: 'nice\u001b[2Kreally\u009b31m\u202eevil' };
  const { out } = await towpath('release show v1.0.0', { tty: true });
  expect(out).toContain('really');
  // oxlint-disable-next-line no-control-regex -- escapes are what this looks for
  expect(out).not.toMatch(/\u001b\[2K|\u009b|\u202e/);
});

test('colours come with a terminal and go with NO_COLOR', async () => {
  expect((await towpath('why prod', { tty: true })).out).toContain('\u001b[1m');
  expect((await towpath('why prod', { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain('\u001b');
  expect((await towpath('why prod', { tty: true, env: { TERM: 'dumb' } })).out).not.toContain('\u001b');
});

test('with several projects one has to be named', async () => {
  const projects = house.useCases.projects;
  const [one] = await projects.list();
  if (one) projects.list = async () => [one, { ...one, id: 'prj_2', name: 'bank' }];
  const { exit, err } = await towpath('why prod');
  expect(exit).toBe(64);
  expect(err).toContain('--project: shop, bank');
  expect((await towpath('why prod --project shop')).exit).toBe(0);
});

test('a server that is not there, or is another, is said in words', async () => {
  const gone = await towpath('status', { env: { TOWPATH_SERVER: 'http://127.0.0.1:1' } });
  expect(gone).toMatchObject({ exit: 1, out: '' });
  expect(gone.err).toContain('towpath up');
  expect((await towpath('status --server ftp://x')).exit).toBe(64);
});

test('the token of this machine is not shown to another one', async () => {
  const { err } = await runLine(['status', '--server', 'http://127.0.0.1:1', '--token-file', '/nonexistent/token']);
  expect(err).toContain('cannot be read');
});

test('a token that is none is told as such, and not as a server that is away', async () => {
  for (const [secret, says] of [
    ['', 'is empty'],
    ['canary\u0000', 'holds what no token has'],
    ['canary and\nanother', 'holds what no token has'],
  ] as const) {
    const file = join(await mkdtemp(join(tmpdir(), 'towpath-token-')), 'token');
    await writeFile(file, secret);
    const told = [await runLine(['status', '--server', server, '--token-file', file])];
    if (secret !== '') told.push(await towpath('status', { env: { TOWPATH_TOKEN: secret } }));
    for (const { exit, err } of told) {
      expect(exit).toBe(64);
      expect(err).toContain(says);
      expect(err).not.toContain('canary');
    }
  }
});

test('completion knows commands, options, and what the server knows', async () => {
  const words = async (...typed: string[]) =>
    (await runLine(['complete', '--', ...typed], { env })).out.split('\n').map((line) => line.split('\t')[0]);
  expect(await words('pro')).toEqual(expect.arrayContaining(['promote', 'project']));
  expect(await words('promote', '')).toEqual(expect.arrayContaining(['v1.0.0', 'feature/dark-header']));
  expect(await words('promote', 'v1.0.0', 'p')).toEqual(
    expect.arrayContaining(['prod', 'preview/feature/dark-header']),
  );
  expect(await words('promote', '--wa')).toEqual(['--wait', '']);
  expect(await words('rollback', 'qa', '--to', 'v1.1')).toEqual(['v1.1.0', '']);
  expect(await words('token', 'cr')).toEqual(['create', '']);
  expect(
    (await runLine(['complete', '--', 'promote', ''], { env: { TOWPATH_SERVER: 'http://127.0.0.1:1' } })).out,
  ).toBe('');
  for (const shell of ['bash', 'zsh', 'fish']) expect((await towpath(`completion ${shell}`)).out).toContain('towpath');
});

test("up and serve get what was asked, and their exit code is the command's", async () => {
  let seen: UpOptions | undefined;
  const up = async (options: UpOptions) => {
    seen = options;
    return 0;
  };
  await towpath('up --port 0 --watch file:///r --data /tmp/x', { house: { up } });
  expect(seen).toMatchObject({ data: '/tmp/x', host: '127.0.0.1', port: 0, repositories: ['file:///r'] });
  expect((await towpath('serve --role api', { house: { serve: async () => 7 } })).exit).toBe(7);
  expect((await towpath('serve --role boss')).exit).toBe(64);
});

test('every command that asks the server says which permission it needs', async () => {
  const { out } = await towpath('--help');
  const local = [
    'init',
    'validate',
    'verify',
    'gitops',
    'scan',
    'up',
    'demo',
    'serve',
    'doctor',
    'completion',
    'release',
    'env',
    'artifact',
    'project',
    'notify',
    'base',
    'pact',
    'token',
  ];
  const names = [...out.matchAll(/^ {2}([a-z]+)\b.* {2}/gm)].map(([, name]) => name ?? '');
  expect(names.length).toBeGreaterThan(20);
  for (const name of names.filter((name) => !local.includes(name)))
    expect((await towpath(`${name} --help`)).out, name).toMatch(/Needs [a-z]+:[a-z]+/);
});

test('doctor looks at the machine and the server', async () => {
  const { out } = await towpath('doctor --json --data /tmp');
  const findings: { part: string; state: string; fix: string | null }[] = JSON.parse(out);
  expect(findings.find(({ part }) => part === 'server')).toMatchObject({ state: 'good' });
  expect(findings.find(({ part }) => part === 'node')).toMatchObject({ state: 'good' });
  expect(findings.find(({ part }) => part === 'clock')).toMatchObject({ state: 'good' });
  expect(findings.map(({ part }) => part)).toEqual(expect.arrayContaining(['disk', 'registry', 'project shop']));
  const builders = findings.filter(({ part }) => part === 'docker' || part === 'buildah');
  expect(builders.map(({ part, fix }) => [part, fix ?? 'Dockerfile builder'])).toEqual([
    ['docker', expect.stringMatching(/dockerfile builder/i)],
    ['buildah', expect.stringMatching(/dockerfile builder/i)],
  ]);
});

test('a server that answers and lets nobody in is a fault, and one that is not there yet is none', async () => {
  const about = async (env: Record<string, string>): Promise<unknown> => {
    const { exit, out } = await towpath('doctor --json --data /tmp', { env });
    const findings: { part: string; state: string }[] = JSON.parse(out);
    return [exit, findings.find(({ part }) => part === 'server')?.state];
  };
  expect(await about({ TOWPATH_TOKEN: 'not-a-token' })).toEqual([1, 'broken']);
  expect(await about({ TOWPATH_SERVER: 'http://127.0.0.1:1' })).toEqual([0, 'missing']);
});

test('a git host that is not told is said by status, doctor and the list of projects, with what to do', async () => {
  const problem = { code: 'notify.refused', what: 'GitHub answered 403: no.', fix: 'Give it another token.' };
  const { projects } = house.useCases;
  const [project] = await projects.list();
  const repositories = project?.repositories.map((one) => ({ ...one, notices: { token: 'env:T', problem } })) ?? [];
  projects.list = async () => (project === undefined ? [] : [{ ...project, repositories }]);
  const matrix = await house.useCases.matrix();
  house.useCases.matrix = async () => ({
    ...matrix,
    projects: matrix.projects.map((one) => ({ ...one, untold: problem })),
  });
  for (const line of ['doctor --data /tmp', 'status', 'project list'])
    expect((await towpath(line)).out, line).toContain(`${problem.what} ${problem.fix}`);
});

test('project list and refresh keep to --project and --json as the others do', async () => {
  const listed = async (line: string) =>
    (JSON.parse((await towpath(line)).out) as { name: string }[]).map(({ name }) => name);
  expect(await listed('project list --json --project shop')).toEqual(['shop']);
  expect(await towpath('project list --project ship')).toMatchObject({
    exit: 64,
    err: expect.stringContaining('"ship"') as string,
  });
  expect(JSON.parse((await towpath('project refresh --json')).out)).toEqual({ project: 'shop' });
});

test('status says that a repository cannot be looked at, for then no news is no good news', async () => {
  const unseen = { code: 'git.denied', what: 'git.example refuses the credential.', fix: 'Give it another token.' };
  const matrix = await house.useCases.matrix();
  house.useCases.matrix = async () => ({ ...matrix, projects: matrix.projects.map((one) => ({ ...one, unseen })) });
  const { out } = await towpath('status');
  expect(out).toContain(
    'shop: its repository cannot be looked at: git.example refuses the credential. Give it another',
  );
});

test('a promotion that failed, was overtaken or rolled back says so by its exit code', async () => {
  const cases = { failed: 1, 'rolled-back': 1, superseded: 2, cancelled: 2, refused: 3 } as const;
  const { promotions } = house.useCases;
  const another = fakeUseCases();
  for (const [state, exit] of Object.entries(cases)) {
    promotions.request = async (...args) => {
      const answer = await another.promotions.request(...args);
      if (answer.kind !== 'started') return answer;
      const promotion = { ...answer.promotion, state: state as PromotionView['state'], headline: 'so it is' };
      return { kind: 'started', promotion };
    };
    expect((await towpath('promote v1.1.0 qa')).exit, state).toBe(exit);
  }
});

test('pacts are listed, and told for each environment by what runs there', async () => {
  const { out } = await towpath('pact list');
  expect(out).toMatch(/^1f2e3d4 +worker -> web +2 interactions +since /);
  const { out: matrix } = await towpath('pact matrix');
  expect(matrix).toMatch(/^qa +worker -> web +1f2e3d4 +keeps to it +contracts: 2 held$/m);
  expect(matrix).toMatch(/^prod +worker -> web +1f2e3d4 +no check of web says/m);
  expect(JSON.parse((await towpath('pact matrix --json')).out)).toHaveLength(2);
});

test('base refresh says what moves and for whom; a registry that does not answer fails it', async () => {
  const { exit, out } = await towpath('base refresh node:22 --dry-run');
  expect(exit).toBe(0);
  expect(out).toMatch(/^node:22 would move +000000000000 -> 111111111111 +web$/m);
  expect(house.useCases.world.deeds).toContainEqual({ by: 'ada', deed: 'refresh node:22 as a dry run' });
  const away = await towpath('base refresh away:1');
  expect(away.exit).toBe(1);
  expect(away.out).toContain('! away:1: It is not there. Push it.');
  const { out: list } = await towpath('base list');
  expect(list).toMatch(/^node:22 +sha256:0+ +since .* by towpath +web$/m);
  expect(list).toMatch(/^prod +web +stands upon an old node:22 +1{12}, now 0{12}$/m);
  const viewer = { TOWPATH_TOKEN: await house.token('viewer', 'vera') };
  expect((await towpath('base refresh', { env: viewer })).exit).toBe(4);
});

test('key export prints the public key alone, with --json all there are; to change them needs its own permission', async () => {
  expect((await towpath('key export')).out).toBe('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');
  expect(JSON.parse((await towpath('key export --json')).out)).toMatchObject({ keys: [{ state: 'active' }] });
  expect((await towpath('key list')).out).toContain('active');
  expect((await towpath('key rotate')).out).toContain('retired');
  const revoked = await towpath('key revoke hint-of-a-key --reason copied');
  expect([revoked.exit, revoked.out, revoked.err].join('\n')).toMatch(/0[^]*revoked .* copied[^]*2 statements/);
  expect((await towpath('key revoke hint-of-a-key')).exit).toBe(64);
  const developer = { TOWPATH_TOKEN: await house.token('developer', 'dee') };
  expect((await towpath('key rotate', { env: developer })).exit).toBe(4);
});

test('registry sweep says what goes and why, with --all also what stays, and needs its own permission', async () => {
  const { exit, out } = await towpath('registry sweep --dry-run --all');
  expect(exit).toBe(0);
  expect(out).toMatch(
    /^would be given up +shop\/api +sha256:0{12} +of #3; it is superseded, and nothing has needed it/m,
  );
  expect(out).toMatch(/^would go +shop\/web +sha256:0{12} +2\.0 MB +it has no name, and nothing needs it$/m);
  expect(out).toMatch(/^stays +shop\/web +sha256:1{12} +2\.0 MB +it runs in shop\/prod; it is named v1$/m);
  expect(out).toContain('1 of 2 manifests in registry.test would go.');
  expect(house.useCases.world.deeds).toContainEqual({ by: 'ada', deed: 'sweep the registry as a dry run' });
  const swept = await towpath('registry sweep');
  expect(swept.out).toContain('1 of 2 manifests in registry.test went: 2.0 MB in 3 files.');
  expect(swept.out).not.toContain('stays');
  const developer = { TOWPATH_TOKEN: await house.token('developer', 'dee') };
  expect((await towpath('registry sweep --dry-run', { env: developer })).exit).toBe(4);
});

test('status and doctor say which images are gone from the registry', async () => {
  const { environments } = house.useCases.world;
  const digest = `sha256:${'a'.repeat(64)}` as const;
  const missing = [{ release: 1, repository: 'shop/web', digest, since: '2026-11-20T10:00:00.000Z' }];
  const prod = environments.findIndex(({ name }) => name === 'prod');
  environments.splice(prod, 1, { ...(environments[prod] ?? expect.unreachable()), missing });
  const said = `the image of #1 is gone from the registry, or damaged: shop/web@${digest}`;
  expect((await towpath('status')).out).toContain(`prod: ${said}`);
  const { exit, out } = await towpath('doctor --data /tmp');
  expect(exit).toBe(1);
  expect(out).toContain(`shop/prod: ${said}`);
});

test('notify says how telling goes, and tries a channel', async () => {
  const { out } = await towpath('notify list');
  expect(out).toMatch(/^people +email +told something/m);
  expect(out).toMatch(/^chat +slack .*2 to be told, tried again at .*; 1 given up; hooks\.example does not answer\./m);
  expect(await towpath('notify test people')).toMatchObject({ exit: 0, out: 'people, ada@shop.test: taken.\n' });
  const chat = await towpath('notify test chat');
  expect(chat.exit).toBe(1);
  expect(chat.out).toContain('chat: hooks.example does not answer.');
  expect((await towpath('doctor --data /tmp')).out).toContain('`towpath notify test chat` tries it.');
});

test('artifact report says what becomes of it, and a CI needs no other right', async () => {
  const ci = { TOWPATH_TOKEN: await house.token('ci', 'ci-shop'), TOWPATH_PROJECT: 'shop' };
  const words = `artifact report --service web --commit ${'c'.repeat(40)} --digest sha256:${'1'.repeat(64)}`;
  const made = await towpath(words, { env: ci });
  expect(made).toMatchObject({ exit: 0, out: `web of ccccccc: sha256:${'1'.repeat(64)} is being looked at\n` });
  expect(house.useCases.world.deeds).toContainEqual({ by: 'ci-shop', deed: 'report web' });
  const waited = await towpath(`${words} --wait`, { env: ci });
  expect(waited.exit).toBe(3);
  expect(waited.out).toContain('is refused: It is not there. Push it first.');

  const other = await towpath(words.replace(/1{64}/, '0'.repeat(64)), { env: ci });
  expect(other.exit).toBe(3);
  expect(other.err).toContain('Another digest stands.');
  const short = await towpath(words.replace(/c{40}/, 'ccccccc'), { env: ci });
  expect(short).toMatchObject({ exit: 64, err: expect.stringContaining('git rev-parse HEAD') as string });
  const tag = await towpath(words.replace(/sha256:1+/, 'v1'), { env: ci });
  expect(tag).toMatchObject({ exit: 64, err: expect.stringContaining('not the digest of an image') as string });
  expect((await towpath(`${words} --provenance /none`, { env: ci })).exit).toBe(64);

  expect((await towpath('status', { env: ci })).exit).toBe(4);
  const dev = { TOWPATH_TOKEN: await house.token('developer', 'dev') };
  expect((await towpath(words, { env: dev })).exit).toBe(4);
  expect((await towpath('artifact list', { env: dev })).out).toMatch(/^2026.* web +ccccccc +1{12} +ci-shop +is being/m);
});
