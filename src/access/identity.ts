import { z } from 'zod';

import { compileGlob } from '../lib/glob.ts';
import type { AccessError } from './access-error.ts';
import { foreignAudience, unfitIdentity } from './identity-error.ts';
import type { Condition, Trust } from './trust.ts';

/** Who a CI's job is, as the issuer of its identity token says it. */
export interface Identity {
  /** Its name under `identities` in `towpath.yaml`. */
  readonly name: string;
  readonly issuer: string;
  readonly subject: string;
  /** The commit that the job is about, and the only one that it may report; null where the issuer names none. */
  readonly commit: string | null;
  readonly ref: string | null;
  /** The address of the run, for people. */
  readonly run: string | null;
}

/** As it rests in the store. */
export const StoredIdentity: z.ZodType<Identity> = z.object({
  name: z.string(),
  issuer: z.string(),
  subject: z.string(),
  commit: z.string().nullable(),
  ref: z.string().nullable(),
  run: z.string().nullable(),
});

/** What a token says, once its signature and its times were found to be right. */
export type Claims = Readonly<Record<string, unknown>>;

export type IdentityVerdict =
  | { readonly kind: 'trusted'; readonly identity: Identity }
  | { readonly kind: 'refused'; readonly problem: AccessError };

/**
 * Whether one of the entries of `towpath.yaml` takes these claims. What the file asks for is not told to the caller: on a
 * public issuer that may be anybody.
 * @param trusts those of the token's own issuer, by name
 * @param audience of those that name none
 */
export function decideIdentity(
  claims: Claims,
  trusts: Readonly<Record<string, Trust>>,
  audience: string,
): IdentityVerdict {
  const meant = Object.entries(trusts).filter(([, trust]) => isFor(claims, trust.audience ?? audience));
  if (meant.length === 0) return refused(foreignAudience(textOf(claims['aud']), audience));
  for (const [name, trust] of meant) {
    const unfit = trust.conditions.filter((condition) => !holds(claims, condition));
    if (unfit.length === 0) return identify(name, trust, claims);
  }
  const [closest = []] = meant
    .map(([, { conditions }]) => conditions.filter((condition) => !holds(claims, condition)))
    .toSorted((one, other) => one.length - other.length);
  return refused(unfitIdentity(closest.map(({ claim }) => [claim, textOf(claims[claim])] as const)));
}

function identify(name: string, trust: Trust, claims: Claims): IdentityVerdict {
  const { issuer } = trust;
  const commit = trust.commit === null ? null : textOf(claims[trust.commit]);
  if (trust.commit !== null && (commit === null || !COMMIT.test(commit)))
    return refused(unfitIdentity([[trust.commit, commit]]));
  const subject = textOf(claims['sub']) ?? '';
  const ref = textOf(claims['ref_path']) ?? textOf(claims['ref']);
  return { kind: 'trusted', identity: { name, issuer, subject, commit, ref, run: runOf(trust, claims) } };
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** One audience and no other: a token that is good elsewhere too may have come from there. */
function isFor({ aud }: Claims, audience: string): boolean {
  const named: unknown[] = [aud].flat();
  return named.length === 1 && named[0] === audience;
}

function holds(claims: Claims, { claim, patterns }: Condition): boolean {
  const said = Object.hasOwn(claims, claim) ? textOf(claims[claim]) : null;
  return said !== null && patterns.some((pattern) => compileGlob(pattern, 'name')(said));
}

/** Lists and mappings are nothing that a pattern could be about. */
function textOf(value: unknown): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value.length <= 1000 ? value : null;
}

function runOf({ kind, issuer }: Trust, claims: Claims): string | null {
  const path = (claim: string) => /^[\w.-]+(?:\/[\w.-]+)*$/.exec(textOf(claims[claim]) ?? '')?.[0] ?? null;
  if (kind === 'oidc') return null;
  const [place, run] =
    kind === 'github' ? [path('repository'), path('run_id')] : [path('project_path'), path('job_id')];
  if (place === null || run === null) return null;
  const { origin, host } = new URL(issuer);
  // github.com and *.ghe.com sign under a host of its own, a server of one's own under its own
  const home = host === 'token.actions.githubusercontent.com' ? 'github.com' : host.replace(/^token\.actions\./, '');
  return kind === 'github' ? `https://${home}/${place}/actions/runs/${run}` : `${origin}/${place}/-/jobs/${run}`;
}

function refused(problem: AccessError): IdentityVerdict {
  return { kind: 'refused', problem };
}
