import { createHash, createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { Agent } from 'undici';

import { serve } from '../../../../registry/testing/served.ts';
import { type EcrAccess, ecrPlace } from '../ecr/place.ts';

export const ECR = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'canary-of-the-secret-key', sessionToken: 'canary-token' };

export type EcrAnswer = object | readonly [number, object | string];

/**
 * What is done with a server that checks each signature, and what that was asked.
 * @param answers to the requests, one after the other and then the last again: a body with 200, or a status and a body
 */
export async function withEcr<T>(
  answers: readonly EcrAnswer[],
  use: (access: EcrAccess) => Promise<T>,
): Promise<{ readonly value: T; readonly asked: readonly Readonly<Record<string, unknown>>[] }> {
  const agent = new Agent();
  const asked: Record<string, unknown>[] = [];
  const served = await serve(() => async (request, response) => {
    const body = await text(request);
    const next = answers[Math.min(asked.length, answers.length - 1)] ?? {};
    asked.push(JSON.parse(body) as Record<string, unknown>);
    const [status, answer] = isSigned(request, body) ? (Array.isArray(next) ? next : [200, next]) : [400, UNSIGNED];
    response.writeHead(status as number, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  try {
    return { value: await use(accessOf(served.host, agent)), asked };
  } finally {
    await agent.close();
    await served.close();
  }
}

/** An answer in the shape of the documentation. */
export async function ecrFixture(name: 'basic' | 'enhanced'): Promise<{ imageScanFindings: Record<string, unknown> }> {
  const file = fileURLToPath(new URL(`../../../../../fixtures/ecr/${name}.json`, import.meta.url));
  return JSON.parse(await readFile(file, 'utf8')) as { imageScanFindings: Record<string, unknown> };
}

/** The findings of an answer, of a scan that ended so many days before `nowMs`. */
export function ecrFindings(
  findings: readonly object[],
  nowMs: number,
  { list = 'findings', daysAgo = 1 } = {},
): object {
  const seconds = (nowMs - daysAgo * 86_400_000) / 1000;
  return { imageScanCompletedAt: seconds, vulnerabilitySourceUpdatedAt: seconds, [list]: findings };
}

const UNSIGNED = { __type: 'InvalidSignatureException' };

function accessOf(host: string, agent: Agent): EcrAccess {
  const place = ecrPlace(`${ECR}/towpath`, { AWS_ENDPOINT_URL_ECR: `http://${host}` });
  if (place === null) throw new Error('It is a registry of Amazon ECR.');
  return { place, keys: async () => KEYS, agentFor: () => agent };
}

/** @see docs.aws.amazon.com, "Create a signed AWS API request" */
function isSigned({ method = '', headers }: IncomingMessage, body: string): boolean {
  const [, day = '', names = '', signature] =
    /Credential=AKIDEXAMPLE\/(\d{8})\/eu-central-1\/ecr\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=(\w+)/.exec(
      headers.authorization ?? '',
    ) ?? [];
  const hex = (data: string): string => createHash('sha256').update(data).digest('hex');
  const mac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, '/', '', lines.join(''), names, hex(body)].join('\n');
  const scope = `${day}/eu-central-1/ecr/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, hex(canonical)].join('\n');
  const key = [day, 'eu-central-1', 'ecr', 'aws4_request'].reduce<string | Buffer>(mac, `AWS4${KEYS.secretAccessKey}`);
  const hasAll = ['host', 'x-amz-date', 'x-amz-target', 'x-amz-security-token', 'content-type'].every((name) =>
    names.split(';').includes(name),
  );
  return hasAll && mac(key, toSign).toString('hex') === signature;
}
