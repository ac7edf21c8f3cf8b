import { z } from 'zod';

import { PERMISSIONS, ROLES } from '../../access/permission.ts';
import { Identity } from './identity.ts';
import { Instant, listOf, Name } from './view.ts';

const RoleName = z.enum(keysOf(ROLES)).meta({ id: 'Role' });

export const Token = z
  .object({
    id: z.string(),
    name: z.string(),
    user: z.string(),
    roles: listOf(z.string()),
    projects: listOf(z.string()).nullable().describe('The projects that it is limited to; null for all'),
    createdAt: Instant,
    expiresAt: Instant.nullable(),
    revokedAt: Instant.nullable(),
    identity: Identity.nullable().describe('Of a token that a CI got for its identity token'),
  })
  .meta({ id: 'Token' });

export const TokenRequest = z
  .object({
    name: Name,
    user: Name,
    roles: z.array(RoleName).min(1).max(10),
    projects: z.array(Name).min(1).max(100).optional().describe('Without them the token reaches all projects'),
    ttlSeconds: z
      .number()
      .int()
      .min(60)
      .max(10 * 365 * 86_400)
      .optional()
      .describe('Without it the token does not end'),
  })
  .meta({ id: 'TokenRequest' });

export const NewToken = z
  .object({ token: Token, secret: z.string().describe('Shown this once; only its hash is kept') })
  .meta({ id: 'NewToken' });

export const Me = z
  .object({
    user: z.string(),
    roles: listOf(z.string()),
    projects: listOf(z.string()).nullable().describe('The projects within reach; null for all'),
    permissions: listOf(z.enum(keysOf(PERMISSIONS))),
  })
  .meta({ id: 'Me' });

export const SessionCode = z.object({ code: z.string(), expiresAt: Instant }).meta({ id: 'SessionCode' });

function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(table) as Key[];
}
