/** A branch or a tag, as a server or a mirror lists it. */
export interface GitRef {
  /** Full: `refs/heads/main`, `refs/tags/v1.0.0`. */
  readonly name: string;
  /** What the ref names: for an annotated tag the tag object. */
  readonly oid: string;
  /** `oid`, or what an annotated tag names in the end. (A tag may name a file or folder: then this is no commit.) */
  readonly commit: string;
}

export const BRANCH_PREFIX = 'refs/heads/';
export const TAG_PREFIX = 'refs/tags/';

export function isBranch(ref: string): boolean {
  return ref.startsWith(BRANCH_PREFIX);
}

export function isTag(ref: string): boolean {
  return ref.startsWith(TAG_PREFIX);
}

/** `refs/heads/feature/a` -> `feature/a`: what people call it. */
export function shortRef(ref: string): string {
  return ref.replace(/^refs\/(?:heads|tags)\//, '');
}

const PULL =
  /^refs\/(?:pull\/([1-9]\d{0,8})\/head|merge-requests\/([1-9]\d{0,8})\/head|pull-requests\/([1-9]\d{0,8})\/from)$/;

/** The number of the pull (or merge) request whose head a ref is, in the form of any host; null for every other ref. */
export function pullNumber(ref: string): number | null {
  const match = PULL.exec(ref);
  return match === null ? null : Number(match[1] ?? match[2] ?? match[3]);
}

/**
 * The rules of `git check-ref-format`. A server can list anything; a name that git itself would not take is left out
 * wherever refs are read, as git does when it fetches. So is one that is not UTF-8: what it was cannot be told any more.
 */
export function isRefName(name: string): boolean {
  return (
    name.length <= 1024 &&
    /^refs\/(?:heads|tags)\/./.test(name) &&
    // eslint-disable-next-line no-control-regex -- control characters are what is refused
    !/[\u0000-\u0020\u007f\ufffd~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$/.test(name) &&
    !name.split('/').some((part) => part.startsWith('.') || part.endsWith('.lock'))
  );
}
