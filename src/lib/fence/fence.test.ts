import { createServer } from 'node:http';
import { type AddressInfo, BlockList, isIPv6 } from 'node:net';

import fc from 'fast-check';
import { Agent, request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';

import { problemOf } from '../error.ts';
import { cases } from '../testing/cases.ts';
import { isPublic } from './address.ts';
import { createFence, type FenceOptions } from './fence.ts';

/** The special-purpose registries of IANA for IPv4, as Node's own list of ranges judges them: not the library that we use. */
const SPECIAL = blockList([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]);
const SPECIAL_STARTS = [10, 100, 127, 169, 172, 192, 198, 203, 224, 255, 0];

const octet = fc.nat(255);
const ipv4 = fc
  .tuple(
    fc.oneof(octet, fc.constantFrom(...SPECIAL_STARTS)),
    fc.oneof(octet, fc.constantFrom(0, 16, 64, 88, 168, 254)),
    octet,
    octet,
  )
  .map((octets) => octets.join('.'));

test('an IPv4 address is public exactly when no registry keeps it for something else, in whatever form it comes', () => {
  fc.assert(
    fc.property(ipv4, (address) => {
      const expected = !SPECIAL.check(address);
      for (const form of [address, `::ffff:${address}`, `::FFFF:${hexOf(address)}`, `64:ff9b::${address}`])
        expect([form, isPublic(form)]).toEqual([form, expected]);
      // deprecated ways to carry one, and the NAT64 of a network of one's own
      for (const form of [`::${address}`, `::ffff:0:${address}`, `2002:${hexOf(address)}::1`, `64:ff9b:1::${address}`])
        expect([form, isPublic(form)]).toEqual([form, false]);
    }),
    cases(500),
  );
});

test('an IPv6 address is public only within the global unicast range, and not where that is kept for something else', () => {
  for (const address of ['2606:4700::1111', '2a00:1450:4001::200e', '2001:4860:4860::8888'])
    expect([address, isPublic(address)]).toEqual([address, true]);
  for (const address of [
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'fc00::1',
    'fd12:3456::1',
    'ff02::1',
    '100::1',
  ])
    expect([address, isPublic(address)]).toEqual([address, false]);
  for (const address of ['2001::1', '2001:db8::1', '3fff::1', '5f00::1', '4000::1', 'fd00:ec2::254', '', 'localhost'])
    expect([address, isPublic(address)]).toEqual([address, false]);
});

test('no spelling of an address of this machine gets past', async () => {
  const server = await listening('127.0.0.1');
  const spellings = [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
  ];
  for (const host of [...spellings, 'localhost', '0.0.0.0', '[::1]', '[::]'])
    expect([host, await fetched(`http://${host}:${server.port}/`)]).toEqual([host, 'outgoing.refused']);
  expect(server.connections()).toBe(0);
});

test('a name that means the network at the second look gets nothing by it: each address is looked at when it is called', async () => {
  const [outside, inside] = [await listening('127.0.0.2'), await listening('127.0.0.3', 0)];
  const answers = [['127.0.0.2'], ['127.0.0.3'], ['127.0.0.2', '127.0.0.3']];
  const looked: string[] = [];
  const options: FenceOptions = {
    allow: '127.0.0.2', // stands for the internet here
    lookup: (hostname, _options, callback) => {
      looked.push(hostname);
      callback(
        null,
        (answers[looked.length - 1] ?? []).map((address) => ({ address, family: 4 })),
      );
    },
  };
  const url = `http://rebinding.example:${outside.port}/`;
  expect(await fetched(url, options)).toBe(200);
  expect(await fetched(url, options)).toBe('outgoing.refused');
  expect(await fetched(url, options)).toBe('outgoing.refused');
  expect(looked).toHaveLength(3);
  expect([outside.connections(), inside.connections()]).toEqual([1, 0]);
});

test('an administrator allows names, addresses and ranges, and nothing beside them', async () => {
  const server = await listening('127.0.0.1');
  const lookup: FenceOptions['lookup'] = (hostname, _options, callback) =>
    callback(null, [{ address: '127.0.0.1', family: isIPv6(hostname) ? 6 : 4 }]);
  const by = (host: string, allow: string) => fetched(`http://${host}:${server.port}/`, { allow, lookup });
  for (const allow of ['hooks.corp.example', 'HOOKS.corp.example.', '127.0.0.0/8', ' 10.0.0.0/8 , 127.0.0.1'])
    expect([allow, await by('hooks.corp.example', allow)]).toEqual([allow, 200]);
  for (const allow of ['', 'corp.example', '127.0.0.2', '10.0.0.0/8', '::/0'])
    expect([allow, await by('hooks.corp.example', allow)]).toEqual([allow, 'outgoing.refused']);
  expect(await by('127.0.0.1', '127.0.0.1/32')).toBe(200);
  expect(() => createFence({ allow: 'https://corp.example' })).toThrow(/no name of a host/);
});

test('where a call is sent on to is not followed', async () => {
  const inside = await listening('127.0.0.3');
  const outside = await listening('127.0.0.2', 0, `http://127.0.0.3:${inside.port}/`);
  expect(await fetched(`http://127.0.0.2:${outside.port}/`, { allow: '127.0.0.2' })).toBe(302);
  expect(inside.connections()).toBe(0);
});

/** @returns the status, or the code of what was thrown */
async function fetched(url: string, options: FenceOptions = {}): Promise<number | string> {
  const agent = new Agent({ connect: createFence(options).connector({}) });
  try {
    const { statusCode, body } = await request(url, { dispatcher: agent });
    await body.dump();
    return statusCode;
  } catch (error) {
    return problemOf(error).code;
  } finally {
    await agent.destroy();
  }
}

async function listening(address: string, port = 0, location?: string) {
  let connections = 0;
  const server = createServer((_request, response) => {
    if (location === undefined) response.end('here');
    else response.writeHead(302, { location }).end();
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

function hexOf(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function blockList(ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of ranges) list.addSubnet(address, bits, 'ipv4');
  return list;
}
