import { randomUUID } from 'node:crypto';

import type { Claims } from '../../identity.ts';

export const ACTIONS = 'https://token.actions.githubusercontent.com';
export const GITLAB = 'https://gitlab.example';
export const AUDIENCE = 'https://towpath.example';

/** Of the form that GitHub documents for a push to `main` of `team/shop`. */
export function actionsClaims(atMs: number, more: Claims = {}): Claims {
  const at = Math.floor(atMs / 1000);
  const workflow = 'team/shop/.github/workflows/image.yml@refs/heads/main';
  return {
    jti: randomUUID(),
    sub: 'repo:team/shop:ref:refs/heads/main',
    aud: AUDIENCE,
    ref: 'refs/heads/main',
    sha: 'c'.repeat(40),
    repository: 'team/shop',
    repository_owner: 'team',
    repository_owner_id: '65',
    repository_id: '74',
    repository_visibility: 'private',
    run_id: '7',
    run_number: '10',
    run_attempt: '1',
    actor: 'ada',
    actor_id: '12',
    workflow: 'image',
    head_ref: '',
    base_ref: '',
    event_name: 'push',
    ref_protected: 'true',
    ref_type: 'branch',
    workflow_ref: workflow,
    workflow_sha: 'c'.repeat(40),
    job_workflow_ref: workflow,
    job_workflow_sha: 'c'.repeat(40),
    runner_environment: 'github-hosted',
    iss: ACTIONS,
    nbf: at - 600,
    exp: at + 300,
    iat: at,
    ...more,
  };
}

/** Of the form that GitLab documents for a push to `main` of `team/backend/shop`. */
export function gitlabClaims(atMs: number, more: Claims = {}): Claims {
  const at = Math.floor(atMs / 1000);
  return {
    namespace_id: '72',
    namespace_path: 'team/backend',
    project_id: '20',
    project_path: 'team/backend/shop',
    user_id: '1',
    user_login: 'ada',
    user_email: 'ada@example.org',
    user_access_level: 'maintainer',
    pipeline_id: '574',
    pipeline_source: 'push',
    job_id: '302',
    ref: 'main',
    ref_type: 'branch',
    ref_path: 'refs/heads/main',
    ref_protected: 'true',
    runner_id: 1,
    runner_environment: 'self-hosted',
    sha: 'c'.repeat(40),
    project_visibility: 'private',
    ci_config_ref_uri: 'gitlab.example/team/backend/shop//.gitlab-ci.yml@refs/heads/main',
    ci_config_sha: 'c'.repeat(40),
    jti: randomUUID(),
    iat: at,
    nbf: at - 5,
    exp: at + 3600,
    iss: GITLAB,
    sub: 'project_path:team/backend/shop:ref_type:branch:ref:main',
    aud: AUDIENCE,
    ...more,
  };
}
