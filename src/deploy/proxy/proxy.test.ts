import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, request, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Server as TcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { proxyCommand } from '../testing/proxy-program.ts';
import { createProxyControl, type ProxyControl } from './control.ts';
import type { Upstream } from './routes.ts';

let directory: string;
let proxy: ProxyControl;
const servers: (Server | TcpServer)[] = [];
let port = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-proxy-'));
  proxy = createProxyControl({ directory, command: await proxyCommand() });
  port = (await serve(() => undefined, true)).port;
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  await proxy.shutdown();
  await rm(directory, { recursive: true });
});

test('requests and answers pass as they are, but for what belongs to one connection', async () => {
  const upstream = await serve((incoming, outgoing) => {
    outgoing.writeHead(201, 'Made', [
      'Set-Cookie',
      'a=1',
      'Set-Cookie',
      'b=2',
      'X-Odd',
      'yes',
      'Keep-Alive',
      'timeout=9',
    ]);
    outgoing.end(JSON.stringify({ url: incoming.url, headers: incoming.headers }));
  });
  await route([upstream]);
  const answer = await ask({
    path: '/a%20b?c=%C3%A4',
    headers: { 'x-forwarded-for': 'a lie', 'x-mine': '1', connection: 'x-mine' },
  });
  expect(answer.status).toBe(201);
  expect(answer.message).toBe('Made');
  expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(answer.headers['keep-alive']).not.toBe('timeout=9');
  const seen = JSON.parse(answer.text) as { url: string; headers: Record<string, string> };
  expect(seen.url).toBe('/a%20b?c=%C3%A4');
  expect(seen.headers).toMatchObject({
    host: `127.0.0.1:${port}`,
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
  });
  expect(seen.headers['x-mine']).toBeUndefined();
});

test('bodies of any length pass both ways', async () => {
  const upstream = await serve((incoming, outgoing) => void incoming.pipe(outgoing));
  await route([upstream]);
  const body = 'x'.repeat(3_000_000);
  for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
    expect((await ask({ method: 'POST', headers, body })).text).toBe(body);
  }
});

test('an upstream that is gone is passed over, whatever the method', async () => {
  const upstream = await serve((incoming, outgoing) => void incoming.pipe(outgoing));
  const gone = await serve(() => undefined, true);
  await route([gone, upstream]);
  for (let i = 0; i < 8; i++) expect((await ask({ method: 'POST', body: `order ${i}` })).text).toBe(`order ${i}`);
});

test('one that is gone is passed over also while the others are busier', async () => {
  const upstream = await serve((incoming, outgoing) => {
    if (incoming.url === '/slow') outgoing.writeHead(200).flushHeaders();
    else incoming.pipe(outgoing);
  });
  const gone = await serve(() => undefined, true);
  await route([upstream]);
  const slow = await Promise.all(Array.from({ length: 3 }, () => begin('/slow')));
  await route([gone, upstream]);
  for (let i = 0; i < 4; i++) expect((await ask({ method: 'POST', body: `order ${i}` })).text).toBe(`order ${i}`);
  for (const socket of slow) socket.destroy();
});

test('a machine that neither takes nor refuses a connection is passed over after three seconds', async () => {
  const upstream = await serve((incoming, outgoing) => void incoming.pipe(outgoing));
  const { stuck, end } = await deaf();
  try {
    await route([stuck, upstream]);
    const answers = Array.from({ length: 2 }, () => ask({ method: 'POST', body: 'order' }));
    expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['order', 'order']);
  } finally {
    end();
  }
});

test('a request that may be sent twice is tried again when its connection broke, an order is not', async () => {
  let count = 0;
  const flaky = await serve((incoming, outgoing) => {
    count += 1;
    if (count % 2 === 1) incoming.socket.destroy();
    else outgoing.end('well');
  });
  await route([flaky]);
  expect((await ask({ method: 'GET' })).text).toBe('well');
  expect(count).toBe(2);
  expect((await ask({ method: 'POST', body: 'pay' })).status).toBe(502);
  expect(count).toBe(3);
});

test('an answer that breaks off does not look whole', async () => {
  const upstream = await serve((_incoming, outgoing) => {
    outgoing.writeHead(200);
    outgoing.write('half', () => outgoing.destroy());
  });
  await route([upstream]);
  await expect(ask({})).rejects.toThrow(/aborted|hang up|terminated/);
});

test('a WebSocket stays with the upstream that it began with, and draining counts it', async () => {
  const echo = async (name: string): Promise<Upstream> => {
    const upstream = await serve(() => undefined);
    servers.at(-1)?.on('upgrade', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.on('data', (bytes) => socket.write(`${name}:${bytes.toString()}`));
      socket.on('error', () => undefined);
    });
    return upstream;
  };
  const [old, next, gone] = [await echo('old'), await echo('new'), await serve(() => undefined, true)];
  await route([gone, old]);
  const one = await upgrade();
  await route([next]);
  const two = await upgrade();
  expect([await one.say('hello'), await two.say('hello')]).toEqual(['old:hello', 'new:hello']);
  expect(await proxy.drained(old, 50, new AbortController().signal)).toBe(1);
  const drained = proxy.drained(old, 20_000, new AbortController().signal);
  one.end();
  expect(await drained).toBe(0);
  two.end();
});

test('after a switch no new request reaches the old upstream, and what is under way there ends well', async () => {
  let release = (): void => undefined;
  const waiting = new Promise<void>((resolve) => (release = resolve));
  let arrived = (): void => undefined;
  const begun = new Promise<void>((resolve) => (arrived = resolve));
  const old = await serve((_incoming, outgoing) => {
    arrived();
    void waiting.then(() => outgoing.end('old'));
  });
  const next = await serve((_incoming, outgoing) => void outgoing.end('new'));
  await route([old]);
  const slow = ask({});
  await begun;
  await route([next]);
  expect((await ask({})).text).toBe('new');
  expect(await proxy.drained(old, 50, new AbortController().signal)).toBe(1);
  release();
  expect((await slow).text).toBe('old');
  expect(await proxy.drained(old, 20_000, new AbortController().signal)).toBe(0);
});

test('killed, the proxy comes back with its routes, and is one though many start it', async () => {
  const upstream = await serve((_incoming, outgoing) => void outgoing.end('still here'));
  await route([upstream]);
  const before = await proxy.status();
  process.kill(before.pid, 'SIGKILL');
  const controls = await Promise.all(
    [1, 2, 3].map(async () => createProxyControl({ directory, command: await proxyCommand() })),
  );
  await Promise.all(controls.map((control) => control.ensureRunning()));
  const pids = await Promise.all(controls.map(async (control) => (await control.status()).pid));
  expect(new Set(pids).size).toBe(1);
  expect(pids[0]).not.toBe(before.pid);
  expect((await ask({})).text).toBe('still here');
});

test('a port that another program holds is refused, and nothing is remembered of it', async () => {
  const taken = await serve(() => undefined);
  const wish = { port: taken.port, owner: 'qa', service: 'web', upstreams: [], token: 1n };
  await expect(proxy.route(wish)).rejects.toMatchObject({ code: 'proxy.port-taken' });
  expect(await proxy.routes('qa')).toEqual([]);
});

test('an address behind which nothing runs says so', async () => {
  await route([]);
  expect((await ask({})).status).toBe(503);
});

test('nonsense on a public port ends that connection only', async () => {
  const upstream = await serve((_incoming, outgoing) => void outgoing.end('well'));
  await route([upstream]);
  const socket = connect(port, '127.0.0.1');
  socket.end('NOT HTTP AT ALL\r\n\r\n');
  const answer = await new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())));
  expect(answer).toContain('400');
  expect((await ask({})).text).toBe('well');
});

let tokens = 0n;
function route(upstreams: readonly Upstream[]): Promise<void> {
  return proxy.route({ port, owner: 'prod', service: 'web', upstreams, token: ++tokens });
}

async function serve(listener: RequestListener, gone = false): Promise<Upstream> {
  const server = gone ? createTcp() : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const upstream = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  if (gone) await new Promise((resolve) => server.close(resolve));
  else servers.push(server);
  return upstream;
}

/** A program that is stopped while nothing more fits into its queue: the kernel drops what comes, as a machine that is gone does. */
async function deaf(): Promise<{ stuck: Upstream; end: () => void }> {
  const source = `require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    console.log(this.address().port);
  })`;
  const program = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = (await once(program.stdout, 'data')) as [Buffer];
  const stuck = { host: '127.0.0.1', port: Number(said.toString()) };
  program.kill('SIGSTOP');
  const queue = Array.from({ length: 2 }, () => connect(stuck));
  for (const socket of queue) socket.on('error', () => undefined);
  await Promise.all(queue.map((socket) => once(socket, 'connect')));
  return {
    stuck,
    end: () => {
      for (const socket of queue) socket.destroy();
      program.kill('SIGKILL');
    },
  };
}

interface Answer {
  readonly status: number | undefined;
  readonly message: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function ask(options: {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const out = request({ host: '127.0.0.1', port, agent: false, ...options }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({ status: answer.statusCode, message: answer.statusMessage, headers: answer.headers, text }),
      );
    });
    out.once('error', reject);
    out.end(options.body);
  });
}

/** A request whose answer has begun and does not end. */
function begin(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const out = request({ host: '127.0.0.1', port, agent: false, path }, (answer) => resolve(answer.socket));
    out.once('error', reject);
    out.end();
  });
}

function upgrade(): Promise<{ say(text: string): Promise<string>; end(): void }> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'echo' };
    const out = request({ host: '127.0.0.1', port, agent: false, headers });
    out.once('error', reject);
    out.once('upgrade', (_answer, socket) =>
      resolve({
        say: (text) => {
          const heard = new Promise<string>((done) => socket.once('data', (bytes: Buffer) => done(bytes.toString())));
          socket.write(text);
          return heard;
        },
        end: () => socket.destroy(),
      }),
    );
    out.end();
  });
}

test('one that does not answer keeps nobody waiting, and does as it is told when it goes on', async () => {
  const { pid } = await proxy.status();
  const impatient = createProxyControl({ directory, command: await proxyCommand(), answerMs: 200 });
  process.kill(pid, 'SIGSTOP');
  try {
    await expect(impatient.status()).rejects.toMatchObject({ code: 'proxy.no-answer' });
    await expect(impatient.ensureRunning()).rejects.toMatchObject({ code: 'proxy.no-answer' });
    const over = AbortSignal.abort(new Error('called off'));
    await expect(impatient.drained({ host: '127.0.0.1', port: 1 }, 10, over)).rejects.toThrow('aborted');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  expect((await proxy.status()).pid).toBe(pid);
});

test('a proxy whose directory was removed ends by itself, and a new one may begin in its place', async () => {
  const place = await mkdtemp(join(tmpdir(), 'towpath-proxy-'));
  const control = createProxyControl({ directory: place, command: await proxyCommand() });
  await control.ensureRunning();
  await rm(place, { recursive: true });
  await mkdir(place);
  await expect
    .poll(
      () =>
        control.ensureRunning().then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(true);
  await control.shutdown();
  await rm(place, { recursive: true });
});
