import { AccessError } from './access-error.ts';

/** What a token says is shown short and clean: it is a stranger's until it is verified, and a CI's names may be long. */
export function shown(text: string | null): string {
  if (text === null) return 'nothing that can be read';
  const clean = text.replace(/[\p{C}\p{Z}]+/gu, ' ');
  return `"${clean.length > 120 ? `${clean.slice(0, 119)}…` : clean}"`;
}

/** The same for a project that is not there: whoever has no identity yet does not learn which there are. */
export function untrustedIssuer(project: string, issuer: string): AccessError {
  return new AccessError({
    code: 'access.identity-refused',
    what: `There is no project ${shown(project)} here that trusts the issuer ${shown(issuer)}.`,
    fix: 'Check --project, and name the issuer under `identities` in the towpath.yaml of its default branch.',
  });
}

export function foreignAudience(said: string | null, audience: string): AccessError {
  return new AccessError({
    code: 'access.identity-refused',
    what: `The identity token is for ${shown(said)}, and not for this server.`,
    fix: `Have it made for ${shown(audience)}, or say its audience under \`identities\` in towpath.yaml.`,
  });
}

export function unfitIdentity(claims: readonly (readonly [claim: string, said: string | null])[]): AccessError {
  const said = claims.map(([claim, value]) => `\`${claim}\` ${shown(value)}`);
  return new AccessError({
    code: 'access.identity-refused',
    what: `The identity token says ${said.join(', ')}, which the project does not trust.`,
    fix: 'Report from a branch or tag of its own repository, or correct `identities` in the towpath.yaml of its default branch.',
  });
}

export function malformedIdentity(): AccessError {
  return new AccessError({
    code: 'access.identity-malformed',
    what: 'This is no identity token: a JSON Web Token, signed with RS256 or ES256, of at most 16 KiB.',
    fix: 'Give the token as the CI made it, without anything before or after it.',
  });
}

export function falseIdentity(why: string): AccessError {
  return new AccessError({
    code: 'access.identity-untrue',
    what: `The identity token does not hold: ${why}.`,
    fix: 'Have the CI make a new one for this job; if it stays so, compare the clocks.',
  });
}

export function otherCommit(commit: string, own: string): AccessError {
  return new AccessError({
    code: 'access.commit-forbidden',
    what: `This identity is of a job for commit ${own}, and the report is about ${commit}.`,
    fix: 'Report the commit that the job built, from that very job.',
  });
}

export function issuerAway(issuer: string, why: string): AccessError {
  return new AccessError({
    code: 'access.issuer-unavailable',
    what: `The keys of the issuer ${issuer} could not be had: ${why}.`,
    fix: 'Try again in a moment; if it stays so, check that the server reaches that address by https.',
  });
}
