import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { type Beside, readBeside } from '../../attestation/beside.ts';
import { chainOf } from '../../attestation/chain.ts';
import { type PublicKey, readKeyFile } from '../../attestation/public-key.ts';
import { createVerifier, type Flaw } from '../../attestation/verify.ts';
import { type Digest, isDigest } from '../../lib/digest.ts';
import { decideStated, type StatedDecision } from '../../path/decide-stated.ts';
import { outsideAgents } from '../../registry/client/agents.ts';
import { createRegistryClient } from '../../registry/client/client.ts';
import { outsideRegistries } from '../../registry/client/outside.ts';
import { openLayout } from '../../registry/layout/layout.ts';
import { parseReference } from '../../registry/reference.ts';
import type { Registry } from '../../registry/registry.ts';
import { CliError, usage } from '../cli-error.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import { readSettings } from '../settings.ts';
import { placeText } from '../why.ts';

export interface VerifyOptions {
  readonly for: string;
  readonly key: readonly string[];
  readonly revoked?: readonly string[];
  readonly name?: string;
  readonly maxAge?: number;
  readonly offline?: boolean;
}

/** Decides by what is signed beside an image. */
export async function verifyImage(context: Context, options: VerifyOptions, word: string): Promise<number> {
  const { io, out } = context;
  const verifier = createVerifier(await keysOf(options));
  const image = await (options.offline === true ? offlineImage(word, options) : imageIn(word, options, context));
  const beside = await readBeside(image.registry, image, verifier);
  const now = io.clock.now();
  const decision = decideStated(chainOf(beside.verified, image.name), {
    environment: options.for,
    now,
    ...(options.maxAge === undefined ? {} : { maxAgeMs: options.maxAge }),
  });
  const view = verifyView(image, options.for, decision, beside);
  out.data(view, (shown) => [out.paint('bold', shown.subject), ...placeText(shown, out.paint)].join('\n'));
  return EXITS[decision.verdict];
}

const EXITS = { go: EXIT.ok, wait: EXIT.timeout, refuse: EXIT.refused } as const;

/** What was revoked stays so, whichever file calls it sound. @throws AttestationError `attestation.keys-malformed` */
async function keysOf({ key, revoked = [] }: VerifyOptions): Promise<PublicKey[]> {
  const read = async (files: readonly string[]) =>
    (await Promise.all(files.map(async (file) => readKeyFile(await textOf(file))))).flat();
  const [good, bad] = await Promise.all([read(key), read(revoked)]);
  const gone = new Set([...bad, ...good.filter(({ state }) => state === 'revoked')].map(({ hint }) => hint));
  return [...good, ...bad].map((one) => (gone.has(one.hint) ? { ...one, state: 'revoked' } : one));
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CliError({
      code: 'cli.file-unreadable',
      what: `${file} cannot be read: ${error.code ?? error.message}.`,
      fix: 'Give the file of the public keys: `towpath key export --json > keys.json`.',
    });
  });
}

interface Image {
  readonly registry: Pick<Registry, 'manifest' | 'readBlob' | 'referrers'>;
  readonly repository: string;
  /** `<project>/<service>`, under which its statements are. */
  readonly name: string;
  readonly digest: Digest;
}

async function imageIn(word: string, { name }: VerifyOptions, context: Context): Promise<Image> {
  const { host, repository, tag, digest } = parseReference(word);
  const registry = await registryAt(host, context);
  const found = digest ?? (await registry.manifest(repository, tag ?? 'latest'))?.digest;
  if (found === undefined) throw noImage(word);
  return { registry, repository, digest: found, name: name ?? repository.split('/').slice(-2).join('/') };
}

/** The registry of the server that commands speak to takes their token, and no other is shown it. */
async function registryAt(host: string, { common, io }: Context): Promise<Registry> {
  const { server, token } = await readSettings(common, io);
  if (token === null || new URL(server).host !== host) return outsideRegistries({ environment: io.env })(host);
  const agentFor = outsideAgents({ environment: io.env });
  const credentials = () => Promise.resolve({ kind: 'basic' as const, username: 'towpath', password: token });
  return createRegistryClient({ host, agentFor, credentials });
}

async function offlineImage(word: string, { name }: VerifyOptions): Promise<Image> {
  if (name === undefined)
    throw usage('A layout does not say whose image it has.', 'Give --name PROJECT/SERVICE, as Towpath calls it.');
  const [directory, reference] = placeIn(word);
  const registry = await openLayout(directory);
  const named = reference === null ? registry.only() : (await registry.manifest('', reference))?.digest;
  if (named === undefined) throw noImage(word);
  return { registry, repository: '', digest: named, name };
}

/** A folder may have a colon in its name. */
function placeIn(word: string): [string, string | null] {
  const [folder = '', digest] = word.split(/@(?=sha256:)/);
  if (digest !== undefined && isDigest(digest)) return [folder, digest];
  const colon = word.lastIndexOf(':');
  return colon <= 0 || existsSync(word) ? [word, null] : [word.slice(0, colon), word.slice(colon + 1)];
}

function noImage(word: string): CliError {
  return new CliError({
    code: 'cli.image-unknown',
    what: `There is no image ${word}.`,
    fix: 'Name it by its digest, or by a tag that it has there.',
  });
}

/** As `path.why` says it of a release. */
function verifyView(image: Image, environment: string, decision: StatedDecision, { verified, flaws }: Beside) {
  const { verdict, findings, by, answers } = decision;
  const deciding = verdict === 'go' ? undefined : findings.find((one) => one.verdict === verdict);
  const words = { go: 'lets it in', wait: 'waits', refuse: 'refuses it' };
  const untils = findings.flatMap(({ reason: { untilMs } }) => (untilMs === undefined ? [] : [untilMs]));
  return {
    subject: `${image.name}@${image.digest}`,
    environment,
    verdict,
    headline: `${words[verdict]}${deciding === undefined ? '' : `: ${deciding.reason.what}`}`,
    until: untils.length === 0 ? null : new Date(Math.min(...untils)).toISOString(),
    promotion: by?.promotion ?? null,
    lines: findings.map(({ verdict: its, reason: { gate, what, fix, untilMs, evidence = [] } }) => ({
      verdict: its,
      gate,
      what,
      fix: fix ?? null,
      until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
      evidence: evidence.flatMap((id) => {
        const answer = answers.get(id);
        if (answer === undefined) return [];
        const { check, service, verdict: said, at } = answer;
        return [{ id, check, type: null, service, verdict: said, at: new Date(at).toISOString(), reusedFrom: null }];
      }),
    })),
    statedAt: by === null ? null : new Date(by.atMs).toISOString(),
    statements: { counted: verified.length, flaws },
    unknown: unknownOf(image, environment, decision, { verified, flaws }),
  };
}

const FLAWS: Readonly<Record<Flaw, string>> = {
  malformed: 'no statement with one signature',
  'unknown-key': 'signed by a key that was not given',
  'revoked-key': 'signed by a key that was revoked',
  'wrong-signature': 'altered, or signed by another key than it says',
  'wrong-subject': 'about another image',
};

/** What a reader has to know of an answer that no server gave. */
function unknownOf({ name }: Image, environment: string, { by }: StatedDecision, { flaws }: Beside): string[] {
  const lines = (Object.keys(FLAWS) as Flaw[]).flatMap((flaw) => {
    const count = flaws[flaw] ?? 0;
    return count === 0 ? [] : [`${count} beside it ${count === 1 ? 'does' : 'do'} not count: ${FLAWS[flaw]}.`];
  });
  if (by === null) return lines;
  const others = by.terms.release.services.filter((service) => service !== by.terms.service);
  const at = new Date(by.atMs).toISOString();
  return [
    ...lines,
    `What ${environment} asks was stated at ${at}, for ${by.terms.release.name} (${by.promotion}). If somebody hides what was stated of ${name} after the newest that is there, that cannot be seen from here: --max-age bounds it.`,
    ...(others.length === 0 ? [] : [`The release has other images, each decided by itself: ${others.join(', ')}.`]),
  ];
}
