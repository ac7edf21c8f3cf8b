import { usersKnownAs } from '../path/authorship.ts';
import type { GitIdentity } from '../path/facts.ts';
import type { Message } from './message.ts';

/** Of `towpath.yaml`: who is who, and who may approve. */
export interface People {
  readonly users: Readonly<Record<string, readonly string[]>>;
  readonly roles: Readonly<Record<string, readonly string[]>>;
}

export interface Addressees {
  /** `authors`, `approvers`, roles, users or addresses. */
  readonly to: readonly string[];
  /** Whether authors whom no user is known for are written to. */
  readonly strangers: boolean;
}

/** The most who are written to about one thing. */
const MOST = 50;

/**
 * Who is written to about a message. What git says of an author is claimed by whoever made the commit: an address counts where
 * `users` has it, or the project wants strangers to be told.
 */
export function addressesFor({ to, strangers }: Addressees, message: Message, people: People): string[] {
  const found = to.flatMap((word) => {
    if (word === 'authors')
      return authorsOf(message).flatMap((author) => addressOf(author, strangers && !message.place.ofStrangers, people));
    if (word === 'approvers') return message.approvers.flatMap((user) => addressesOfUser(user, people));
    if (isAddress(word)) return [word];
    return (own(people.roles, word) ?? [word]).flatMap((user) => addressesOfUser(user, people));
  });
  return [...new Map(found.map((address) => [address.toLowerCase(), address])).values()].slice(0, MOST);
}

/** Whether a word under `to` means somebody. */
export function isKnown(word: string, { users, roles }: People): boolean {
  return (
    word === 'authors' ||
    word === 'approvers' ||
    isAddress(word) ||
    Object.hasOwn(users, word) ||
    Object.hasOwn(roles, word)
  );
}

/** Nobody waits for a mail because somebody else's approval is missing. */
function authorsOf({ topic, commits }: Message): GitIdentity[] {
  return topic === 'approval' ? [] : commits.newest.map(({ author }) => author);
}

function addressOf(author: GitIdentity, strangers: boolean, people: People): string[] {
  const users = usersKnownAs(author, people);
  if (users.length > 0) return users.flatMap((user) => addressesOfUser(user, people, author.email));
  return strangers && isAddress(author.email) && !isNobody(author.email) ? [author.email] : [];
}

/** One address of each: that by which they committed, else the first. */
function addressesOfUser(user: string, { users }: People, known?: string): string[] {
  const all = [...(own(users, user) ?? []), user].filter(isAddress);
  const same = all.find((address) => address.toLowerCase() === known?.toLowerCase());
  return [same ?? all[0] ?? []].flat();
}

/** Names are chosen by people: `constructor` is one. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** What hosts write in place of an address takes no mail. */
function isNobody(address: string): boolean {
  return /(?:^|[.@+-])no-?reply(?:[.@+-]|$)/i.test(address) || /\.(?:local|localhost|invalid|example)$/i.test(address);
}

function isAddress(text: string): boolean {
  return (
    /^[^\s<>@,;:"\\]+@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/i.test(text) &&
    text.length <= 254
  );
}
