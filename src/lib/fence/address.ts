import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** An address with the length of its prefix. */
export type Range = readonly [Address, number];

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/**
 * Whether an address is one of the internet: not this machine, its network, or anything that is reserved. What carries an
 * IPv4 address (mapped, or by the NAT64 that everybody may use) is what it carries.
 */
export function isPublic(text: string): boolean {
  const address = addressOf(text);
  if (address === null) return false;
  if (address.kind() === 'ipv4') return address.range() === 'unicast';
  return address.range() === 'unicast' && (address as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

/** @returns null for what is no address */
export function addressOf(text: string): Address | null {
  // the deprecated form is IPv6 for whoever connects, and IPv4 for the library
  if (!ipaddr.isValid(text) || /^::\d+(?:\.\d+){3}$/.test(text)) return null;
  const address = ipaddr.process(text); // an IPv4 address that is mapped becomes one
  if (!(address instanceof ipaddr.IPv6) || !address.match(NAT64)) return address;
  return new ipaddr.IPv4(address.toByteArray().slice(12));
}

/** @param text `10.0.0.0/8`, or one address @returns null for what is neither */
export function rangeOf(text: string): Range | null {
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  const address = addressOf(text);
  return address === null ? null : [address, address.kind() === 'ipv4' ? 32 : 128];
}

export function isWithin(text: string, [base, bits]: Range): boolean {
  const address = addressOf(text);
  return address !== null && address.kind() === base.kind() && address.match(base, bits);
}
