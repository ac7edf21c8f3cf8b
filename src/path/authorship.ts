import type { GitIdentity, PromotionFacts } from './facts.ts';

type Facts = Pick<PromotionFacts, 'users' | 'roles' | 'authors' | 'committers'>;

/** Whether a user had a hand in what is promoted, as far as names and addresses in git tell. */
export type Authorship = 'wrote' | 'other' | 'unknown';

/**
 * A user wrote it who is an author of it or made a commit of it what it is. Another one is known to be somebody else when
 * `users` says who they are in git, or when every author is known. For all others nobody can tell: an author whom nobody
 * knows may be that very user under another name. Committers whom nobody knows tell nothing, for git hosts commit too.
 */
export function authorshipOf(user: string, facts: Facts): Authorship {
  const own = identitiesOf(user, facts);
  if ([...facts.authors, ...facts.committers].some((one) => isOne(one, own))) return 'wrote';
  return isListed(user, facts) || strangersOf(facts).length === 0 ? 'other' : 'unknown';
}

/** The authors who are no user that `users` or `roles` name, each once: one address is one person. */
export function strangersOf(facts: Facts): readonly GitIdentity[] {
  const known = new Set(
    [...Object.keys(facts.users), ...Object.values(facts.roles).flat()].flatMap((user) => [
      ...identitiesOf(user, facts),
    ]),
  );
  const strangers = new Map<string, GitIdentity>();
  for (const author of facts.authors)
    if (!isOne(author, known)) strangers.set(folded(author.email) || folded(author.name), author);
  return [...strangers.values()];
}

/** The users of `users` and `roles` whom git may call so. */
export function usersKnownAs(identity: GitIdentity, facts: Pick<Facts, 'users' | 'roles'>): string[] {
  const all = new Set([...Object.keys(facts.users), ...Object.values(facts.roles).flat()]);
  return [...all].filter((user) => isOne(identity, identitiesOf(user, facts)));
}

/** What git may call a user: as they are called here, and as `users` says. */
function identitiesOf(user: string, { users }: Pick<Facts, 'users'>): ReadonlySet<string> {
  const listed = Object.entries(users).flatMap(([name, identities]) => (isSame(name, user) ? identities : []));
  return new Set([user, ...listed].map(folded));
}

function isListed(user: string, { users }: Facts): boolean {
  return Object.keys(users).some((name) => isSame(name, user));
}

function isOne({ name, email }: GitIdentity, identities: ReadonlySet<string>): boolean {
  return identities.has(folded(name)) || identities.has(folded(email));
}

function isSame(one: string, other: string): boolean {
  return folded(one) === folded(other);
}

function folded(text: string): string {
  return text.normalize('NFC').trim().toLowerCase();
}
