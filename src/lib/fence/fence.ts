import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';

import { buildConnector } from 'undici';

import { TowpathError } from '../error.ts';
import { isPublic, isWithin, type Range, rangeOf } from './address.ts';

/** Keeps calls to addresses that somebody else named out of this machine and its network. */
export interface Fence {
  /** What can be said of an address before it is called. @throws TowpathError `outgoing.refused` */
  check(url: URL): void;
  /** Connects to the very address that was looked at: a name that means another one a moment later gains nothing. */
  connector(options: buildConnector.BuildOptions): buildConnector.connector;
}

export interface FenceOptions {
  /** Names of hosts, addresses and ranges that may be reached all the same, separated by commas. */
  readonly allow?: string | undefined;
  readonly lookup?: LookupAll;
}

export type LookupAll = (
  hostname: string,
  options: { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** @throws TowpathError `outgoing.malformed` */
export function createFence({ allow = '', lookup = systemLookup }: FenceOptions = {}): Fence {
  const { names, ranges } = allowanceOf(allow);
  const mayReach = (address: string): boolean => isPublic(address) || ranges.some((range) => isWithin(address, range));
  /** An address that stands where a name could, without a look-up. */
  const checkHost = (hostname: string): void => {
    const literal = hostname.replace(/^\[(.*)\]$/, '$1');
    if (!names.has(nameOf(hostname)) && isIP(literal) !== 0 && !mayReach(literal)) throw refused(hostname);
  };
  const fencedLookup: LookupFunction = (hostname, { all, family }, callback) => {
    lookup(hostname, { all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      // one that is not allowed is reason enough: a name that means the internet and this network is no mistake
      if (!names.has(nameOf(hostname)) && !found.every(({ address }) => mayReach(address)))
        return callback(refused(hostname), []);
      const wanted = found.filter((one) => (family !== 4 && family !== 6 ? true : one.family === family));
      const [first] = wanted;
      if (all === true || first === undefined) return callback(null, wanted);
      callback(null, first.address, first.family);
    });
  };
  return {
    check: ({ hostname }) => checkHost(hostname),
    connector: (options) => {
      const connect = buildConnector({ ...options, lookup: fencedLookup });
      return (wish, callback) => {
        try {
          checkHost(wish.hostname);
        } catch (error) {
          return callback(error as Error, null);
        }
        connect(wish, callback);
      };
    },
  };
}

function allowanceOf(allow: string): { readonly names: ReadonlySet<string>; readonly ranges: readonly Range[] } {
  const words = allow
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  const ranges = words.map((word) => rangeOf(word));
  const names = words.filter((_word, at) => ranges[at] === null).map(nameOf);
  const wrong = names.find((name) => !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name));
  if (wrong !== undefined) throw malformed(wrong);
  return { names: new Set(names), ranges: ranges.filter((range) => range !== null) };
}

function nameOf(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '');
}

function refused(hostname: string): TowpathError {
  return new TowpathError({
    code: 'outgoing.refused',
    what: `"${hostname}" is an address of this machine or its network, which nobody who writes a configuration may have called.`,
    fix: `If it is meant, the administrator of the server allows it: TOWPATH_OUTGOING_ALLOW=${hostname}, or a range such as 10.1.0.0/16.`,
  });
}

function malformed(word: string): TowpathError {
  return new TowpathError({
    code: 'outgoing.malformed',
    what: `TOWPATH_OUTGOING_ALLOW holds "${word}", which is no name of a host, no address and no range.`,
    fix: 'Write names, addresses and ranges separated by commas: git.corp.example,10.1.0.0/16.',
  });
}
