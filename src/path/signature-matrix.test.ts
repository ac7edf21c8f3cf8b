import { describe, expect, test } from 'vitest';

import { signedBytes, writeBundle } from '../attestation/bundle.ts';
import { chainOf } from '../attestation/chain.ts';
import type { Claim } from '../attestation/predicates.ts';
import type { PublicKey } from '../attestation/public-key.ts';
import { sealedKeys } from '../attestation/signers/key/key.ts';
import { PREDICATES } from '../attestation/statement.ts';
import { createVerifier } from '../attestation/verify.ts';
import { sha256 } from '../lib/digest.ts';
import { decideStated } from './decide-stated.ts';
import type { Decision } from './policy.ts';
import { answerOf, factsOf, NOW } from './testing/facts.ts';
import { answerClaim, policyOfFacts, textsOf, voiceClaim } from './testing/stated.ts';

const HOUR = 3_600_000;
const holder = sealedKeys(() => Promise.resolve('open sesame'));
const [ours, another, revoked] = await Promise.all([holder.make(), holder.make(), holder.make()]);
const KEYS: readonly PublicKey[] = [
  { ...ours, state: 'active' },
  { ...revoked, state: 'revoked' },
];
const IMAGE = sha256('an image');

/** Signs, and says by whom: nobody has signed the hint. */
async function bundleOf(text: string, key = ours, hint = key.hint): Promise<string> {
  const signer = await holder.open(key.held);
  return writeBundle({ statement: text, signature: await signer.sign(signedBytes(text)), hint });
}

function decide(bundles: readonly string[], { maxAgeMs }: { readonly maxAgeMs?: number } = {}) {
  const verifier = createVerifier(KEYS);
  const verified = bundles.flatMap((bundle) => {
    const one = verifier.verify(bundle, IMAGE);
    return one.kind === 'verified' ? [one] : [];
  });
  const question = { environment: 'prod', now: NOW, ...(maxAgeMs === undefined ? {} : { maxAgeMs }) };
  const { verdict, findings } = decideStated(chainOf(verified, 'shop/web'), question);
  const told = findings.filter((one) => one.verdict === verdict).map(({ reason }) => reason.what);
  return { verdict, told: told.join(' ') };
}

/** What a gate wants to be stated, beside the terms. */
const GATES: Readonly<
  Record<string, { readonly claim: Claim; readonly gate: Parameters<typeof gated>[0]; readonly without: string }>
> = {
  'a check': {
    gate: { kind: 'check', name: 'unit' },
    claim: answerClaim('passed'),
    without: 'unit has no answer for the artifacts of 4f2a91c yet',
  },
  'a fresh check': {
    gate: { kind: 'check', name: 'unit', freshMs: 24 * HOUR },
    claim: answerClaim('passed'),
    without: 'unit has no answer for the artifacts of 4f2a91c yet',
  },
  'can-i-deploy': {
    gate: { kind: 'can-i-deploy' },
    claim: answerClaim('passed', { check: 'pacts' }),
    without: 'Whether web keeps to what shop of v1.0.0, which runs in prod, expects is not known yet',
  },
  approvals: {
    gate: { kind: 'approvals', of: 'managers', count: 1, expiresMs: 24 * HOUR },
    claim: voiceClaim({ by: 'eve', verdict: 'approved', at: NOW - HOUR, comment: null, forThis: true }),
    without: 'It waits for 1 more approval of managers',
  },
};

function gated(gate: ReturnType<typeof factsOf>['environment']['gates'][number], at = NOW): Claim {
  const facts = factsOf({
    environment: { name: 'prod', gates: [gate] },
    evidence: { unit: [answerOf(null)] },
    users: { eve: ['eve@shop.example'] },
    contracts: {
      written: [],
      pairs: [
        {
          consumer: 'shop',
          provider: 'web',
          pact: 'a pact',
          consumerThere: 'v1.0.0',
          verified: [{ ...answerOf(null), check: 'pacts', there: null }],
        },
      ],
    },
  });
  return policyOfFacts(facts, 'web', at);
}

interface Row {
  readonly state: string;
  /** What becomes of the bundle of the statement that the gate needs. */
  readonly put: (text: string) => Promise<readonly string[]>;
  /** Does it count? */
  readonly counts?: true;
}

const altered = async (text: string): Promise<string> => {
  const bundle = JSON.parse(await bundleOf(text)) as { dsseEnvelope: { payload: string } };
  const bytes = Buffer.from(bundle.dsseEnvelope.payload, 'base64');
  bytes[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1;
  bundle.dsseEnvelope.payload = bytes.toString('base64');
  return JSON.stringify(bundle);
};

const ROWS: readonly Row[] = [
  { state: 'signed by the key', put: async (text) => [await bundleOf(text)], counts: true },
  { state: 'signed twice by the key', put: async (text) => [await bundleOf(text), await bundleOf(text)], counts: true },
  { state: 'truncated', put: async () => [] },
  { state: 'of a wrong key', put: async (text) => [await bundleOf(text, another)] },
  { state: 'of a wrong key that calls itself ours', put: async (text) => [await bundleOf(text, another, ours.hint)] },
  { state: 'of a revoked key', put: async (text) => [await bundleOf(text, revoked)] },
  {
    state: 'of a revoked key, and signed anew',
    put: async (text) => [await bundleOf(text, revoked), await bundleOf(text)],
    counts: true,
  },
  { state: 'altered by one byte', put: async (text) => [await altered(text)] },
  { state: 'no bundle', put: async () => ['{}'] },
  {
    state: 'of a wrong digest',
    put: async (text) => [await bundleOf(text.replace(IMAGE.slice(7), sha256('another').slice(7)))],
  },
  { state: 'of another project', put: async (text) => [await bundleOf(text.replace('"shop/web"', '"toys/web"'))] },
];

describe.each(Object.entries(GATES))('what %s needs', (_name, { gate, claim, without }) => {
  test.each(ROWS)('$state', async ({ put, counts }) => {
    const policy = gated(gate);
    const decideWith = async (claims: readonly Claim[], at: number, more = put) => {
      const texts = textsOf(claims);
      const each = texts.map(async (text, i) => (i === at ? more(text) : [await bundleOf(text)]));
      return decide((await Promise.all(each)).flat());
    };
    const [first, last] = [await decideWith([claim, policy], 0), await decideWith([policy, claim], 1)];
    if (counts) expect([first.verdict, last.verdict]).toEqual(['go', 'go']);
    else {
      expect(first).toEqual({
        verdict: 'refuse',
        told: expect.stringContaining('Statement 1 of at least 2 is missing'),
      });
      // nobody can tell that there was one
      expect(last).toEqual({ verdict: 'wait', told: expect.stringContaining(without) });
    }
  });

  test('of a wrong predicate', async () => {
    for (const predicateType of Object.values(PREDICATES)) {
      if (predicateType === claim.predicateType || predicateType === PREDICATES.policy) continue;
      const texts = textsOf([gated(gate), { ...claim, predicateType }]);
      const found = decide(await Promise.all(texts.map((text) => bundleOf(text))));
      expect(found).toEqual({ verdict: 'wait', told: expect.stringContaining(without) });
    }
  });
});

const CHECK = { kind: 'check', name: 'unit' } as const;

describe('the terms', () => {
  const verdictOf = async (claims: readonly Claim[], leftOut: readonly number[] = [], maxAgeMs?: number) => {
    const texts = textsOf(claims).filter((_text, i) => !leftOut.includes(i + 1));
    return decide(await Promise.all(texts.map((text) => bundleOf(text))), maxAgeMs === undefined ? {} : { maxAgeMs });
  };
  const no = (told: string, verdict: Decision['kind'] = 'refuse') => ({ verdict, told: expect.stringContaining(told) });

  test('were never stated, for this environment or at all', async () => {
    expect(await verdictOf([])).toEqual(no('Nothing that counts is stated about this image.'));
    const elsewhere = policyOfFacts(factsOf({ environment: { name: 'demo' } }));
    expect(await verdictOf([answerClaim('passed'), elsewhere])).toEqual(no('Nothing is stated of what prod asks'));
  });

  test('were other ones before: only the newest count, and an old one that is put there again is no newer', async () => {
    const [loose, strict] = [policyOfFacts(factsOf({ environment: { name: 'prod' } })), gated(CHECK)];
    expect(await verdictOf([loose])).toEqual({ verdict: 'go', told: '' });
    const texts = textsOf([loose, strict]);
    const bundles = await Promise.all([...texts, ...texts.slice(0, 1)].map((text) => bundleOf(text)));
    expect(decide(bundles)).toEqual(no('unit has no answer', 'wait'));
    expect(await verdictOf([loose, strict, answerClaim('failed')], [2])).toEqual(no('Statement 2 of at least 3'));
    // at the end it cannot be seen that they are hidden: only their age tells
    expect(await verdictOf([loose, strict], [2])).toEqual({ verdict: 'go', told: '' });
  });

  test('are those of the place of a member, which the name of the environment means too', async () => {
    const { environment, ...rest } = factsOf({ environment: { name: 'prod.api', gates: [CHECK] } });
    const policy = policyOfFacts({ ...rest, environment, evidence: { unit: [answerOf(null)] } });
    expect((await verdictOf([answerClaim('passed'), policy])).verdict).toBe('go');
    expect(await verdictOf([policyOfFacts(factsOf({ environment: { name: 'produce' } }))])).toEqual(
      no('Nothing is stated'),
    );
  });

  test('are too old', async () => {
    const claims = [answerClaim('passed'), gated(CHECK, NOW - 2 * HOUR)];
    expect((await verdictOf(claims, [], 3 * HOUR)).verdict).toBe('go');
    expect(await verdictOf(claims, [], HOUR)).toEqual(no('may be at most 1h old', 'wait'));
    expect(await verdictOf([...claims, answerClaim('failed', { at: NOW })], [], HOUR)).toEqual(no('unit failed'));
  });

  test('say what this version does not know', async () => {
    const policy = gated(CHECK);
    const terms = policy.predicate['terms'] as Readonly<Record<string, unknown>>;
    const gates = [{ kind: 'quorum', of: 'managers' }];
    for (const other of [{ ...terms, v: 2 }, { ...terms, gates }, { ...terms, more: 1 }, {}, null]) {
      const newer = { ...policy, predicate: { ...policy.predicate, terms: other } };
      expect(await verdictOf([policy, answerClaim('passed'), newer])).toEqual(
        no('in a way that this version does not'),
      );
    }
  });

  test('have one place with other ones', async () => {
    const [texts, others] = [
      textsOf([gated(CHECK), answerClaim('failed')]),
      textsOf([gated(CHECK), answerClaim('passed')]),
    ];
    const bundles = await Promise.all([...texts, ...others].map((text) => bundleOf(text)));
    expect(decide(bundles)).toEqual(no('Statement 2 is there with two contents'));
    const [first = '', second = ''] = [texts[0], textsOf([answerClaim('failed'), answerClaim('passed')])[1]];
    expect(decide(await Promise.all([first, second].map((text) => bundleOf(text))))).toEqual(
      no('Statement 2 is there with two contents, or does not follow'),
    );
  });
});

test('an approval for another configuration, and of somebody who may have written it, does not do', async () => {
  const gate = { kind: 'approvals', of: 'managers', count: 1, expiresMs: 24 * HOUR } as const;
  const strangers = { authors: [{ name: 'Xi', email: 'xi@home.example' }] };
  const eve = { by: 'eve', verdict: 'approved', at: NOW - HOUR, comment: null, forThis: true } as const;
  const told = async (patch: Parameters<typeof factsOf>[0], voice: Parameters<typeof voiceClaim>[0]) => {
    const facts = factsOf({ environment: { name: 'prod', gates: [gate] }, ...patch });
    const texts = textsOf([policyOfFacts(facts), voiceClaim(voice)]);
    return decide(await Promise.all(texts.map((text) => bundleOf(text)))).told;
  };
  expect(await told({}, eve)).toBe('');
  expect(await told({}, { ...eve, forThis: false })).toContain('approved it for another configuration of prod');
  expect(await told(strangers, eve)).toContain('cannot tell whether eve wrote it: no user is known for the author');
  expect(await told({}, { ...eve, by: 'ana' })).toContain('by somebody who did not write it (so far: ana)');
});
