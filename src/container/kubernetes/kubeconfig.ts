import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { parse } from 'yaml';
import { z } from 'zod';

import type { ClusterAccess, Credential } from './access.ts';
import { badConfig, KubernetesError } from './kubernetes-error.ts';

const Text = z.string().max(1024 * 1024);
const Cluster = z.looseObject({
  server: z.url({ protocol: /^https?$/ }),
  'certificate-authority': Text.optional(),
  'certificate-authority-data': Text.optional(),
  'insecure-skip-tls-verify': z.boolean().optional(),
  'tls-server-name': Text.optional(),
  'proxy-url': z.url({ protocol: /^https?$/ }).optional(),
});
const User = z.looseObject({
  token: Text.optional(),
  tokenFile: Text.optional(),
  username: Text.optional(),
  'client-certificate': Text.optional(),
  'client-certificate-data': Text.optional(),
  'client-key': Text.optional(),
  'client-key-data': Text.optional(),
  'auth-provider': z.unknown().optional(),
  exec: z
    .looseObject({
      apiVersion: z.enum(['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']),
      command: z.string().min(1),
      args: z.array(z.string()).nullish(),
      env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
      provideClusterInfo: z.boolean().optional(),
    })
    .nullish(),
});
const named = <Key extends string, Value extends z.ZodType>(key: Key, value: Value) =>
  z.array(z.looseObject({ name: z.string(), [key]: value } as { name: z.ZodString } & Record<Key, Value>)).nullish();
const Kubeconfig = z.looseObject({
  clusters: named('cluster', Cluster),
  users: named('user', User),
  contexts: named(
    'context',
    z.looseObject({ cluster: z.string(), user: z.string().optional(), namespace: z.string().optional() }),
  ),
  'current-context': z.string().nullish(),
});

interface Read {
  readonly config: z.infer<typeof Kubeconfig>;
  /** What its paths are relative to; null where it may name neither files nor programs. */
  readonly folder: string | null;
}

const MOST_BYTES = 4 * 1024 * 1024;

/** A kubeconfig of the machine. @throws KubernetesError `kubernetes.no-file`, `kubernetes.config` */
export async function readKubeconfig(path: string): Promise<Read> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new KubernetesError({
      code: 'kubernetes.no-file',
      what: `The kubeconfig ${path} cannot be read (${error.code ?? 'no reason'}).`,
      fix: 'Put it there, readable for the user of the server, or let TOWPATH_KUBECONFIG name another one.',
    });
  });
  return { config: parsed(text, path), folder: resolve(dirname(path)) };
}

/** A kubeconfig that came from elsewhere, such as a secret: what it holds counts, and it reaches nothing on this machine. */
export function givenKubeconfig(text: string): Read {
  return { config: parsed(text, GIVEN), folder: null };
}

export const GIVEN = 'The kubeconfig that was given as a secret';

/**
 * What one context means. Of several files the first that has a name counts.
 * @param where what is said of it in errors
 * @throws KubernetesError `kubernetes.config`
 */
export async function kubeconfigOf(
  files: readonly Read[],
  wanted: string | undefined,
  where: string,
): Promise<ClusterAccess> {
  const current = files.map(({ config }) => config['current-context']).find(Boolean);
  const name = wanted ?? current;
  if (!name) throw badConfig(where, 'it has no current context, and none is named');
  const [context] = files.flatMap(({ config }) => config.contexts ?? []).filter((one) => one.name === name);
  if (context === undefined) throw badConfig(where, `it has no context ${JSON.stringify(name)}`);
  const { cluster: clusterName, user: userName, namespace } = context.context;
  const [cluster] = files.flatMap(({ config, folder }) =>
    (config.clusters ?? []).filter((one) => one.name === clusterName).map((one) => ({ ...one.cluster, folder })),
  );
  const [user] = files.flatMap(({ config, folder }) =>
    (config.users ?? []).filter((one) => one.name === userName).map((one) => ({ ...one.user, folder })),
  );
  if (cluster === undefined) throw badConfig(where, `it has no cluster ${JSON.stringify(clusterName)}`);
  if (userName !== undefined && user === undefined)
    throw badConfig(where, `it has no user ${JSON.stringify(userName)}`);
  if (cluster['insecure-skip-tls-verify'] === true)
    throw badConfig(
      where,
      'it lets anybody stand for the cluster (insecure-skip-tls-verify); give its authority instead',
    );
  const url = new URL(cluster.server);
  if (url.username !== '' || url.password !== '') throw badConfig(where, 'a password stands in the address');
  const isHere = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !isHere) throw badConfig(where, 'the address is not https');
  const file = (what: string, folder: string | null, data: string | undefined, path: string | undefined) =>
    contentOf(where, what, { folder, data, path });
  const [ca, cert, key] = await Promise.all([
    file(
      'certificate-authority',
      cluster.folder,
      cluster['certificate-authority-data'],
      cluster['certificate-authority'],
    ),
    file('client-certificate', user?.folder ?? null, user?.['client-certificate-data'], user?.['client-certificate']),
    file('client-key', user?.folder ?? null, user?.['client-key-data'], user?.['client-key']),
  ]);
  const servername = cluster['tls-server-name'];
  const proxy = cluster['proxy-url'];
  const server = cluster.server.replace(/\/+$/, '');
  return {
    server,
    namespace: namespace || null,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      ...(servername === undefined ? {} : { servername }),
    },
    ...(proxy === undefined ? {} : { proxy }),
    credential: user === undefined ? { kind: 'none' } : credentialOf(where, user, { server, ca }),
  };
}

function credentialOf(
  where: string,
  user: z.infer<typeof User> & { readonly folder: string | null },
  { server, ca }: { readonly server: string; readonly ca: string | undefined },
): Credential {
  const { folder, token, tokenFile, exec } = user;
  if (user['auth-provider'] !== undefined || user.username !== undefined)
    throw badConfig(
      where,
      'its user has a password or an `auth-provider`, which Kubernetes gave up; use a token or `exec`',
    );
  if (tokenFile !== undefined) {
    if (folder === null) throw badConfig(where, 'it names a file (tokenFile)');
    return { kind: 'token-file', path: resolve(folder, tokenFile) };
  }
  if (token !== undefined) return { kind: 'token', token };
  if (exec === undefined || exec === null) return { kind: 'none' };
  if (folder === null) throw badConfig(where, 'it names a program (exec)');
  const data = ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return {
    kind: 'program',
    program: {
      apiVersion: exec.apiVersion,
      command: exec.command.includes('/') ? resolve(folder, exec.command) : exec.command,
      args: exec.args ?? [],
      env: Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value])),
      cluster: exec.provideClusterInfo === true ? { server, ...data } : null,
    },
  };
}

async function contentOf(
  where: string,
  what: string,
  { folder, data, path }: { folder: string | null; data: string | undefined; path: string | undefined },
): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  if (!path) return undefined;
  if (folder === null) throw badConfig(where, `it names a file (${what})`);
  return readFile(resolve(folder, path), 'utf8').catch(() => {
    throw badConfig(where, `its ${what} cannot be read`);
  });
}

function parsed(text: string, where: string): z.infer<typeof Kubeconfig> {
  if (Buffer.byteLength(text) > MOST_BYTES) throw badConfig(where, 'it is too large');
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 100, logLevel: 'silent', prettyErrors: false }) as unknown;
  } catch {
    throw badConfig(where, 'it is not YAML'); // the words of the parser quote lines, and with them secrets
  }
  const config = Kubeconfig.safeParse(value);
  if (config.success) return config.data;
  throw badConfig(where, `\`${(config.error.issues[0]?.path ?? []).join('.')}\` is not what it should be`);
}
