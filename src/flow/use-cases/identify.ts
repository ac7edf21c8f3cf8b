import { decideIdentity, type Identity } from '../../access/identity.ts';
import { untrustedIssuer } from '../../access/identity-error.ts';
import { readIdentity, verifyIdentity } from '../../access/oidc/read-identity.ts';
import type { Trust } from '../../access/trust.ts';
import { recordAudit } from '../../audit/audit-store.ts';
import { rulingConfig } from '../../config/config-store.ts';
import { hasCode } from '../../lib/error.ts';
import type { House } from '../house.ts';
import { projectNamed } from './project-named.ts';

/** Only issuers that the path of the project names are ever asked for their keys: who calls is not known yet. */
export async function identify(house: House, project: string, token: string): Promise<Identity> {
  const { store, clock, issuerKeys, settings } = house;
  const unverified = readIdentity(token);
  const { issuer } = unverified;
  const found = await trustsOf(house, project);
  const trusts = Object.entries(found?.trusts ?? {}).filter(([, trust]) => trust.issuer === issuer);
  if (found === null || trusts.length === 0) throw untrustedIssuer(project, issuer);
  const claims = await verifyIdentity(unverified, issuerKeys, clock);
  const verdict = decideIdentity(claims, Object.fromEntries(trusts), settings.page.replace(/\/+$/, ''));
  if (verdict.kind === 'refused') throw verdict.problem;
  const { identity } = verdict;
  const detail = { ...identity, ...(typeof claims['jti'] === 'string' ? { jti: claims['jti'].slice(0, 200) } : {}) };
  const actor = `oidc:${identity.name}`;
  await recordAudit(store.db, { actor, action: 'identity.exchange', subject: found.projectId, detail });
  return identity;
}

async function trustsOf(
  { store }: House,
  project: string,
): Promise<{ readonly projectId: string; readonly trusts: Readonly<Record<string, Trust>> } | null> {
  try {
    const { id: projectId } = await projectNamed(store.db, project);
    const ruling = await rulingConfig(store.db, projectId);
    return { projectId, trusts: ruling?.config.identities ?? {} };
  } catch (error) {
    if (hasCode(error, 'project.unknown')) return null;
    throw error;
  }
}
