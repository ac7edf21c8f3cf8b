import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { type Claims, decideIdentity } from './identity.ts';
import { ACTIONS, actionsClaims, AUDIENCE, GITLAB, gitlabClaims } from './oidc/testing/claims.ts';
import { type Trust, trustSchema } from './trust.ts';

const trust = (text: unknown): Trust => trustSchema.parse(text);
const shop = trust({ github: { repository: 'team/shop', id: '74' } });
const lab = trust({ gitlab: { issuer: GITLAB, project: 'team/backend/shop' } });

function decide(claims: Claims, ...trusts: Trust[]) {
  return decideIdentity(claims, Object.fromEntries(trusts.map((one, i) => [`ci-${i}`, one])), AUDIENCE);
}

test('a push of the repository is trusted, and who its job is stands in the identity', () => {
  expect(decide(actionsClaims(0), shop)).toEqual({
    kind: 'trusted',
    identity: {
      name: 'ci-0',
      issuer: ACTIONS,
      subject: 'repo:team/shop:ref:refs/heads/main',
      commit: 'c'.repeat(40),
      ref: 'refs/heads/main',
      run: 'https://github.com/team/shop/actions/runs/7',
    },
  });
  expect(decide(gitlabClaims(0), lab)).toMatchObject({
    identity: { ref: 'refs/heads/main', run: 'https://gitlab.example/team/backend/shop/-/jobs/302' },
  });
});

test.each<[string, Claims, string]>([
  ['another repository', { repository: 'team/other' }, '`repository` "team/other"'],
  ['a repository of the same name that came later', { repository_id: '75' }, '`repository_id` "75"'],
  [
    'a pull request',
    { ref: 'refs/pull/3/merge', event_name: 'pull_request' },
    '`ref` "refs/pull/3/merge", `event_name`',
  ],
  ['a pull request that runs on the base branch', { event_name: 'pull_request_target' }, '"pull_request_target"'],
  ['what another workflow of strangers started', { event_name: 'workflow_run' }, '`event_name` "workflow_run"'],
  ['a job without a repository', { repository: undefined }, '`repository` nothing that can be read'],
  ['a list where a name should be', { repository: ['team/shop'] }, '`repository` nothing that can be read'],
  ['a commit that is none', { sha: 'main' }, '`sha` "main"'],
  ['no commit', { sha: undefined }, '`sha` nothing that can be read'],
])('GitHub: %s is refused, with what the token says', (_case, more, said) => {
  expect(decide(actionsClaims(0, more), shop)).toMatchObject({
    problem: { code: 'access.identity-refused', what: expect.stringContaining(said) as string },
  });
});

test.each<[string, Claims, string]>([
  ['another project', { project_path: 'team/backend/other' }, '`project_path`'],
  ['a group of the same beginning', { project_path: 'team/backend/shop/evil' }, '`project_path`'],
  // of a fork too, in older versions under the path of the project itself
  ['a merge request', { pipeline_source: 'merge_request_event' }, '`pipeline_source` "merge_request_event"'],
  ['what a merge request started further down', { pipeline_source: 'parent_pipeline' }, '`pipeline_source`'],
  ['a ref that is neither branch nor tag', { ref_path: 'refs/merge-requests/3/head' }, '`ref_path`'],
])('GitLab: %s is refused, with what the token says', (_case, more, said) => {
  expect(decide(gitlabClaims(0, more), lab)).toMatchObject({
    problem: { code: 'access.identity-refused', what: expect.stringContaining(said) as string },
  });
});

test('a token is for this server alone, or for whom towpath.yaml says', () => {
  for (const aud of [
    'https://github.com/team',
    'https://towpath.example/',
    [AUDIENCE, 'sts.example'],
    [],
    undefined,
    7,
  ])
    expect(decide(actionsClaims(0, { aud }), shop)).toMatchObject({
      problem: { code: 'access.identity-refused', fix: expect.stringContaining(`"${AUDIENCE}"`) as string },
    });
  expect(decide(actionsClaims(0, { aud: [AUDIENCE] }), shop).kind).toBe('trusted');
  const own = { ...shop, audience: 'towpath' };
  expect(decide(actionsClaims(0, { aud: 'towpath' }), own).kind).toBe('trusted');
  expect(decide(actionsClaims(0), own).kind).toBe('refused');
});

test('one of several entries is enough, and a refusal names what is nearest to being trusted', () => {
  const other = trust({ github: { repository: 'team/other' } });
  const main = trust({
    github: { repository: 'team/shop', refs: 'refs/heads/main', claims: { ref_protected: 'true' } },
  });
  expect(decide(actionsClaims(0), other, main)).toMatchObject({ identity: { name: 'ci-1' } });
  const branch = actionsClaims(0, { ref: 'refs/heads/try', ref_protected: 'false' });
  expect(decide(branch, main).kind).toBe('refused');
  const { problem } = decide(actionsClaims(0, { ref_protected: 'false' }), other, main) as { problem: Error };
  expect(problem.message).toContain('says `repository` "team/shop"'); // one thing each: the first is told
  expect(problem.message).not.toContain('team/other');
});

test('of any issuer the claims name the repository, and the commit where it gives one', () => {
  const claims = { organization_slug: 'team', pipeline_slug: 'shop', build_branch: '*' };
  const oidc = { issuer: 'https://agent.buildkite.com', claims, commit: 'build_commit' };
  const said = { ...actionsClaims(0), organization_slug: 'team', pipeline_slug: 'shop', build_branch: 'x/y' };
  expect(decide({ ...said, build_commit: 'd'.repeat(40) }, trust({ oidc }))).toMatchObject({
    identity: { commit: 'd'.repeat(40), run: null },
  });
  expect(decide(said, trust({ oidc })).kind).toBe('refused');
  expect(decide(said, trust({ oidc: { ...oidc, commit: undefined } }))).toMatchObject({ identity: { commit: null } });
});

test.each([
  { github: {} },
  { github: { repository: 'team/*' } },
  { github: { repository: 'team/shop', issuer: 'http://token.actions.githubusercontent.com' } },
  { github: { repository: 'team/shop', refs: [] } },
  { github: { repository: 'team/shop', refs: 'main' } },
  { github: { repository: 'team/shop', refs: ['refs/heads/main', 'refs/*'] } },
  { github: { repository: 'team/shop', events: 'pull*' } },
  { github: { repository: 'team/shop', role: 'admin' } },
  { gitlab: { project: 'shop' } },
  { oidc: { issuer: 'https://ci.example', claims: {} } },
  { oidc: { issuer: 'https://ci.example', claims: { repository: '*' } } },
  { oidc: { issuer: 'https://ci.example', claims: { repository: ['team/shop', 'team/*'] } } },
  { oidc: { issuer: 'https://robot:canary@ci.example', claims: { repository: 'team/shop' } } },
  { oidc: { issuer: 'https://ci.example/?x', claims: { repository: 'team/shop' } } },
  { oidc: { issuer: 'file:///etc/passwd', claims: { repository: 'team/shop' } } },
])('who would be trusted too widely, or could not be asked, is no entry: %j', (entry) => {
  expect(trustSchema.safeParse(entry).success).toBe(false);
});

test('whatever else a token says, each condition is held against its own claim', () => {
  const fits: Readonly<Record<string, (said: string) => boolean>> = {
    repository: (said) => said === 'team/shop',
    repository_id: (said) => said === '74',
    ref: (said) => /^refs\/(?:heads|tags)\//.test(said),
    event_name: (said) => ['push', 'workflow_dispatch', 'schedule', 'release'].includes(said),
  };
  const near = [
    'team/shop',
    'Team/shop',
    'team/shop\n',
    'team/shop/x',
    '74',
    '074',
    'push',
    'refs/heads/',
    'refs/tags/*',
  ];
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom(...Object.keys(fits)),
      fc.oneof(fc.constantFrom(...near), fc.string()),
      (more, claim, said) => {
        const { kind } = decide({ ...more, ...actionsClaims(0), [claim]: said }, shop);
        expect(kind).toBe(fits[claim]?.(said) === true ? 'trusted' : 'refused');
      },
    ),
    cases(300),
  );
});
