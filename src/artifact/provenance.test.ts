import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { cases } from '../lib/testing/cases.ts';
import { decideProvenance } from './decide-provenance.ts';
import { parseProvenance } from './provenance.ts';

const IMAGE = sha256('the image');
const COMMIT = '4f2a91c'.padEnd(40, '0');
const OTHER = '9'.repeat(40);

/** Written by hand after what each tool is documented to write, with what is read and some of what is not. */
const githubStatement = (commit = COMMIT) => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'ghcr.io/team/shop', digest: { sha256: IMAGE.slice(7) } }],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: 'https://actions.github.io/buildtypes/workflow/v1',
      externalParameters: { workflow: { ref: 'refs/heads/main', repository: 'https://github.com/team/shop' } },
      internalParameters: { github: { event_name: 'push', repository_id: '1' } },
      resolvedDependencies: [
        { uri: 'git+https://github.com/team/shop@refs/heads/main', digest: { gitCommit: commit } },
      ],
    },
    runDetails: {
      builder: { id: 'https://github.com/team/shop/.github/workflows/image.yml@refs/heads/main' },
      metadata: { invocationId: 'https://github.com/team/shop/actions/runs/1/attempts/1' },
    },
  },
});
const dsse = (statement: object) => ({
  payload: Buffer.from(JSON.stringify(statement)).toString('base64'),
  payloadType: 'application/vnd.in-toto+json',
  signatures: [{ sig: 'c2ln' }],
});
const bundle = (statement: object) => ({
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  verificationMaterial: { certificate: { rawBytes: '' } },
  dsseEnvelope: dsse(statement),
});
const sbom = { ...githubStatement(), predicateType: 'https://spdx.dev/Document', predicate: {} };

const GITHUB = {
  predicateType: 'https://slsa.dev/provenance/v1',
  subjects: [IMAGE],
  builder: 'https://github.com/team/shop/.github/workflows/image.yml@refs/heads/main',
  sources: [{ uri: 'git+https://github.com/team/shop@refs/heads/main', commit: COMMIT }],
  signed: true,
};

const FORMS: readonly (readonly [name: string, text: string, signed: boolean])[] = [
  ['a statement', JSON.stringify(githubStatement()), false],
  ['an envelope', JSON.stringify(dsse(githubStatement())), true],
  ['a bundle, as actions/attest-build-provenance leaves it', JSON.stringify(bundle(githubStatement())), true],
  [
    'a bundle on each line, as gh attestation download writes them',
    `${JSON.stringify(bundle(sbom))}\n${JSON.stringify(bundle(githubStatement()))}\n`,
    true,
  ],
  ['the answer of the API', JSON.stringify({ attestations: [{ bundle: bundle(githubStatement()) }] }), true],
  ['what gh attestation verify prints', JSON.stringify([{ attestation: { bundle: bundle(githubStatement()) } }]), true],
];

test.each(FORMS)('reads %s', (_name, text, signed) => {
  expect(parseProvenance(text)).toEqual([{ ...GITHUB, signed }]);
});

test('reads what GitLab writes, with the commit under the name of another hash', () => {
  const source = { uri: 'https://gitlab.com/team/shop', digest: { sha256: COMMIT } };
  const statement = {
    _type: 'https://in-toto.io/Statement/v0.1',
    subject: [{ name: 'image.tar', digest: { sha256: IMAGE.slice(7) } }],
    predicateType: 'https://slsa.dev/provenance/v0.2',
    predicate: {
      builder: { id: 'https://gitlab.com/team/shop/-/runners/1' },
      invocation: { configSource: { ...source, entryPoint: 'image' }, parameters: { CI: '' } },
      metadata: { completeness: { materials: false } },
      materials: [source],
    },
  };
  expect(parseProvenance(JSON.stringify(statement))).toMatchObject([
    { builder: 'https://gitlab.com/team/shop/-/runners/1', sources: [{ commit: COMMIT }, { commit: COMMIT }] },
  ]);
});

test('reads the metadata file of buildx, of both versions: its commit is that of the work tree', () => {
  const vcs = { revision: COMMIT, source: 'https://git.example/shop.git', 'localdir:context': '.' };
  const old = {
    builder: { id: '' },
    invocation: { configSource: { entryPoint: 'Dockerfile' } },
    materials: [{ uri: 'pkg:docker/node@22?platform=linux%2Famd64', digest: { sha256: IMAGE.slice(7) } }],
    metadata: { 'https://mobyproject.org/buildkit@v1#metadata': { vcs } },
  };
  const now = {
    buildDefinition: {
      externalParameters: { configSource: { path: 'Dockerfile' } },
      resolvedDependencies: old.materials,
    },
    runDetails: { builder: { id: '' }, metadata: { buildkit_metadata: { vcs } } },
  };
  for (const predicate of [old, now]) {
    const text = JSON.stringify({ 'buildx.build.provenance': predicate, 'containerimage.digest': IMAGE });
    expect(parseProvenance(text)).toMatchObject([
      { subjects: [IMAGE], builder: null, sources: [{ uri: 'https://git.example/shop.git', commit: COMMIT }] },
    ]);
  }
});

test.each(['buildkit-v1.json', 'buildkit-v0.2.json'])('%s, as BuildKit wrote it, fits its image and commit', (name) => {
  const statements = parseProvenance(readFileSync(`fixtures/provenance/${name}`, 'utf8'));
  const commit = '62ca73a33cc63c6debb39e5d66b0cebeb848c632';
  const digest = 'sha256:9f8f842ed1c710a78ec3e299d011f1b2b871ff7290b7dc4aff5af05556d86ed1';
  const sources = [{ uri: 'https://git.example/shop.git', commit }];
  expect(statements).toMatchObject([{ subjects: [digest], builder: null, sources, signed: false }]);
  const asked = { statements, digests: [digest], commit, expected: { source: 'https://git.example/shop' } } as const;
  expect(decideProvenance(asked)).toMatchObject({ kind: 'fits' });
  expect(decideProvenance({ ...asked, commit: OTHER })).toMatchObject({ kind: 'refused' });
});

test('what BuildKit wrote of an image without a name is about nothing, and refused', () => {
  const statements = parseProvenance(readFileSync('fixtures/provenance/buildkit-no-name.json', 'utf8'));
  expect(statements).toMatchObject([{ subjects: [] }]);
  expect(decideProvenance({ statements, digests: [IMAGE], commit: COMMIT, expected: null })).toMatchObject({
    problem: { code: 'artifact.provenance-of-another', what: expect.stringContaining('about nothing') },
  });
});

test.each([
  ['no JSON', 'nothing'],
  ['no provenance', '{}'],
  ['another predicate', JSON.stringify(sbom)],
  ['a payload that is no JSON', JSON.stringify({ ...dsse({}), payload: 'xx' })],
  ['a predicate that is none', JSON.stringify({ ...githubStatement(), predicate: 7 })],
  ['wrappings without end', `${'['.repeat(200)}${']'.repeat(200)}`],
  ['too much', JSON.stringify({ pad: 'x'.repeat(600 * 1024) })],
])('refuses %s', (_name, text) => {
  expect(() => parseProvenance(text)).toThrow(expect.objectContaining({ code: 'artifact.provenance-malformed' }));
});

test('whatever is sent is read or refused, and nothing else', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseProvenance(text);
      } catch (error) {
        expect(error).toMatchObject({ code: 'artifact.provenance-malformed' });
      }
    }),
    cases(200),
  );
});

describe('the provenance of a report', () => {
  const decide = (text: string | null, expected: { builder?: string; source?: string } | null = null) =>
    decideProvenance({
      statements: text === null ? [] : parseProvenance(text),
      digests: [IMAGE],
      commit: COMMIT,
      expected,
    });
  const github = JSON.stringify(githubStatement());

  test('fits when it is about this digest and this commit', () => {
    expect(decide(github)).toMatchObject({ kind: 'fits', origin: { builder: GITHUB.builder } });
    expect(decide(null)).toEqual({ kind: 'fits', origin: null });
  });

  test('is refused when it is about another digest or commit', () => {
    const another = { ...githubStatement(), subject: [{ digest: { sha256: 'e'.repeat(64) } }] };
    for (const text of [JSON.stringify(another), JSON.stringify(githubStatement(OTHER))])
      expect(decide(text)).toMatchObject({ kind: 'refused', problem: { code: 'artifact.provenance-of-another' } });
  });

  test('has to be there, and to name the builder and the source that towpath.yaml asks for', () => {
    expect(decide(null, {})).toMatchObject({ problem: { code: 'artifact.provenance-wanted' } });
    const builder = 'https://github.com/team/shop/.github/workflows/*';
    for (const source of [
      'https://github.com/team/shop',
      'https://github.com/team/shop.git',
      'https://github.com/*/shop',
    ])
      expect(decide(github, { builder, source })).toMatchObject({ kind: 'fits' });
    for (const expected of [{ builder: 'https://gitlab.com/*' }, { source: 'https://github.com/team/other' }])
      expect(decide(github, expected)).toMatchObject({ problem: { code: 'artifact.provenance-unfit' } });
    const silent = JSON.stringify({ ...githubStatement(), predicate: { buildDefinition: {}, runDetails: {} } });
    expect(decide(silent)).toMatchObject({ kind: 'fits' });
    expect(decide(silent, { source: 'https://github.com/team/shop' })).toMatchObject({ kind: 'refused' });
  });
});
