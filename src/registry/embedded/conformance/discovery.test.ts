import { expect } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../manifest.ts';
import { requirements } from '../../testing/requirements.ts';
import type { Reply, Talk } from '../../testing/talk.ts';

const TYPE = 'application/vnd.towpath.test';

interface Listed {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
}

function tagsIn(reply: Reply): string[] {
  return (JSON.parse(reply.bytes.toString()) as { tags: string[] | null }).tags ?? [];
}

function listedIn(reply: Reply): Listed[] {
  return (JSON.parse(reply.bytes.toString()) as { manifests: Listed[] }).manifests;
}

function nextOf({ headers }: Reply): string | null {
  return /<([^>]+)>; *rel="next"/.exec(headers['link'] ?? '')?.[1] ?? null;
}

async function tagged(talk: Talk, tags: readonly string[]) {
  const image = await talk.image(tags[0]);
  for (const tag of tags) await talk.put(tag, image);
  return (query: string) => talk.ask('GET', `/v2/${talk.repository}/tags/list${query}`);
}

requirements(
  'Listing tags',
  [
    [
      'end-8a',
      'MUST',
      'the list has the name and all tags',
      async (talk) => {
        const list = await tagged(talk, ['b', 'c', 'a', '1.10', '1.9']);
        const answer = await list('');
        expect(answer.status).toBe(200);
        expect(JSON.parse(answer.bytes.toString())).toMatchObject({ name: talk.repository });
        expect(tagsIn(answer).sort()).toEqual(['1.10', '1.9', 'a', 'b', 'c']);
      },
    ],
    [
      'end-8a',
      'MUST',
      'tags come in lexical order, that of a dictionary: the case of letters does not count',
      async (talk) => {
        const list = await tagged(talk, ['beta', '1.9', 'Alpha', 'alpha', '1.10', 'Gamma']);
        expect(tagsIn(await list(''))).toEqual(['1.10', '1.9', 'Alpha', 'alpha', 'beta', 'Gamma']);
        expect(tagsIn(await list('?last=alpha'))).toEqual(['beta', 'Gamma']);
      },
    ],
    [
      'end-8a',
      'MAY',
      'a repository whose manifests have no tag has an empty list',
      async (talk) => {
        await talk.image();
        const answer = await talk.ask('GET', `/v2/${talk.repository}/tags/list`);
        expect(answer.status).toBe(200);
        expect(tagsIn(answer)).toEqual([]);
      },
    ],
    [
      'end-8a',
      'MUST',
      'a repository that is not there answers 404 NAME_UNKNOWN',
      async ({ ask, repository }) =>
        expect(await ask('GET', `/v2/${repository}/tags/list`)).toMatchObject({ status: 404, code: 'NAME_UNKNOWN' }),
    ],
    [
      'end-8b',
      'MUST',
      'n tags come, and Link leads through all of them once',
      async (talk) => {
        const list = await tagged(talk, ['a', 'b', 'c', 'd', 'e']);
        const seen: string[][] = [];
        for (let answer = await list('?n=2'); ;) {
          seen.push(tagsIn(answer));
          const next = nextOf(answer);
          if (next === null) break;
          answer = await talk.ask('GET', next);
        }
        expect(seen).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
        expect(tagsIn(await list('?n=50'))).toHaveLength(5);
      },
    ],
    [
      'end-8b',
      'MUST',
      'with n=0 the list is empty and has no Link',
      async (talk) => {
        const answer = await (await tagged(talk, ['a', 'b']))('?n=0');
        expect([answer.status, tagsIn(answer), answer.headers['link']]).toEqual([200, [], undefined]);
      },
    ],
    [
      'end-8b',
      'MUST',
      'last is where the list begins, itself not counted, with n or without',
      async (talk) => {
        const list = await tagged(talk, ['a', 'b', 'c', 'd']);
        expect(tagsIn(await list('?last=b'))).toEqual(['c', 'd']);
        expect(tagsIn(await list('?n=1&last=b'))).toEqual(['c']);
        expect(tagsIn(await list('?last=d'))).toEqual([]);
      },
    ],
  ],
  {
    debianLacks: [
      'tags come in lexical order, that of a dictionary: the case of letters does not count',
      'a repository whose manifests have no tag has an empty list',
      'n tags come, and Link leads through all of them once',
      'with n=0 the list is empty and has no Link',
      'last is where the list begins, itself not counted, with n or without',
    ],
  },
);

const REFERRERS: Parameters<typeof requirements>[1] = [
  [
    'end-12a',
    'MUST',
    'the list is an image index, with a descriptor of every manifest whose subject it is',
    async (talk) => {
      const subject = await talk.image('v1');
      const digests = [await talk.referrer(subject, TYPE), await talk.referrer(subject, 'application/vnd.other')];
      const answer = await talk.ask('GET', `/v2/${talk.repository}/referrers/${subject.digest}`);
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': OCI_INDEX } });
      expect(JSON.parse(answer.bytes.toString())).toMatchObject({ schemaVersion: 2, mediaType: OCI_INDEX });
      expect(new Set(listedIn(answer).map(({ digest }) => digest))).toEqual(new Set(digests));
      for (const { digest, size, mediaType } of listedIn(answer)) {
        const { bytes } = await talk.ask('GET', `/v2/${talk.repository}/manifests/${digest}`);
        expect([size, mediaType]).toEqual([bytes.length, OCI_MANIFEST]);
      }
    },
  ],
  [
    'end-12a',
    'MUST',
    'artifactType is that of the manifest, or the media type of its config where that is missing or empty',
    async (talk) => {
      const subject = await talk.image('v1');
      const CASES = [TYPE, '', undefined];
      const typed = await Promise.all(CASES.map((artifactType) => talk.referrer(subject, TYPE, { artifactType })));
      const listed = listedIn(await talk.ask('GET', `/v2/${talk.repository}/referrers/${subject.digest}`));
      const typeOf = (digest: string) => listed.find((one) => one.digest === digest)?.artifactType;
      const empty = 'application/vnd.oci.empty.v1+json';
      expect(typed.map(typeOf)).toEqual([TYPE, empty, empty]);
    },
  ],
  [
    'end-12a',
    'MUST',
    'an index without an artifactType is listed without one',
    async (talk) => {
      const subject = await talk.image('v1');
      const about = { mediaType: OCI_MANIFEST, digest: subject.digest, size: subject.bytes.length };
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject: about }),
      );
      await talk.put(sha256(bytes), { mediaType: OCI_INDEX, bytes });
      const listed = listedIn(await talk.ask('GET', `/v2/${talk.repository}/referrers/${subject.digest}`));
      expect(listed).toEqual([{ mediaType: OCI_INDEX, digest: sha256(bytes), size: bytes.length }]);
    },
  ],
  [
    'end-12a',
    'MUST',
    'the annotations of the manifest come along',
    async (talk) => {
      const subject = await talk.image('v1');
      await talk.referrer(subject, TYPE, { annotations: { 'org.example.note': 'ä "quoted"' } });
      const [listed] = listedIn(await talk.ask('GET', `/v2/${talk.repository}/referrers/${subject.digest}`));
      expect(listed?.annotations).toEqual({ 'org.example.note': 'ä "quoted"' });
    },
  ],
  [
    'end-12a',
    'MUST',
    'a subject without referrers, or that is not there, has an empty list and not a 404',
    async (talk) => {
      const { digest } = await talk.image('v1');
      for (const asked of [digest, sha256('never pushed')]) {
        const answer = await talk.ask('GET', `/v2/${talk.repository}/referrers/${asked}`);
        expect([answer.status, listedIn(answer)]).toEqual([200, []]);
      }
    },
  ],
  [
    'end-12a',
    'MUST',
    'what is no digest is answered by 400',
    async ({ ask, repository }) => {
      for (const asked of ['v1', 'sha256:abc', `md5:${'0'.repeat(32)}`]) {
        expect(await ask('GET', `/v2/${repository}/referrers/${asked}`)).toMatchObject({
          status: 400,
          code: 'DIGEST_INVALID',
        });
      }
    },
  ],
  [
    'end-12a',
    'MUST',
    'a list that is larger than a manifest may be comes in parts, by Link',
    async (talk) => {
      const subject = await talk.image('v1');
      const big = { annotations: { pad: 'x'.repeat(1_500_000) } };
      const digests = new Set<string>();
      for (let n = 0; n < 3; n++) digests.add(await talk.referrer(subject, TYPE, { ...big, n }));
      await talk.referrer(subject, 'application/vnd.other', big);
      const seen: string[] = [];
      let next: string | null = `/v2/${talk.repository}/referrers/${subject.digest}?artifactType=${TYPE}`;
      let pages = 0;
      for (; next !== null; pages++) {
        const answer: Reply = await talk.ask('GET', next);
        expect(answer.headers['oci-filters-applied']).toBe('artifactType');
        expect(answer.bytes.length).toBeLessThanOrEqual(4 * 1024 * 1024);
        seen.push(...listedIn(answer).map(({ digest }) => digest));
        next = nextOf(answer);
      }
      expect(pages).toBe(2);
      expect(seen).toHaveLength(3);
      expect(new Set(seen)).toEqual(digests);
    },
  ],
  [
    'end-12b',
    'SHOULD',
    'artifactType filters the list, and OCI-Filters-Applied says so',
    async (talk) => {
      const subject = await talk.image('v1');
      const wanted = await talk.referrer(subject, TYPE);
      await talk.referrer(subject, 'application/vnd.other');
      for (const [type, expected] of [
        [TYPE, [wanted]],
        ['application/vnd.none', []],
      ] as const) {
        const answer = await talk.ask('GET', `/v2/${talk.repository}/referrers/${subject.digest}?artifactType=${type}`);
        expect(answer).toMatchObject({ status: 200, headers: { 'oci-filters-applied': 'artifactType' } });
        expect(listedIn(answer).map(({ digest }) => digest)).toEqual(expected);
      }
    },
  ],
];

// Distribution has no referrers API at all.
requirements('Listing referrers', REFERRERS, { debianLacks: REFERRERS.map(([, , says]) => says) });
