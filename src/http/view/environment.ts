import { z } from 'zod';

import { CHECK_TYPES } from '../../check/check-type.ts';
import type {
  EnvironmentDetail,
  EnvironmentView,
  HoldView,
  MatrixCell,
  MatrixEnvironment,
  MatrixView,
  MissingImageView,
  RevokedView,
} from '../../flow/view/environment.ts';
import type { UnreadyRelease } from '../../flow/view/unready.ts';
import { Brief, Promotion, releaseBriefShape } from './promotion.ts';
import { Problem } from './problem.ts';
import { DigestText, Instant, listOf, view } from './view.ts';

const Hold = view<HoldView>()('Hold', { reason: z.string(), by: z.string(), since: Instant });

const Current = view<NonNullable<EnvironmentView['current']>>()('CurrentRelease', {
  ...releaseBriefShape,
  since: Instant,
  yank: z.object({ reason: z.string(), by: z.string(), at: Instant }).nullable(),
});

const Revoked = view<RevokedView>()('RevokedCheck', {
  check: z.string(),
  type: z.enum(CHECK_TYPES).nullable(),
  service: z.string(),
  verdict: z.enum(['failed', 'error']),
  summary: z.string(),
  evidence: z.string(),
  logId: z.string().nullable(),
  since: Instant,
});

const StepBack = z
  .union([z.object({ to: Brief }), z.object({ to: z.null(), reason: z.string() })])
  .meta({ id: 'StepBack' });

const Missing = view<MissingImageView>()('MissingImage', {
  release: z.number(),
  repository: z.string(),
  digest: DigestText,
  since: Instant,
});

const environmentShape = {
  id: z.string(),
  name: z.string(),
  kind: z.enum(['static', 'preview']),
  branch: z.string().nullable(),
  environment: z.string(),
  repository: z.string().nullable(),
  expiresAt: Instant.nullable(),
  named: z.boolean(),
  stopAskedAt: Instant.nullable(),
  endProblem: Problem.nullable(),
  hold: Hold.nullable(),
  current: Current.nullable(),
  revoked: listOf(Revoked),
  open: listOf(Promotion),
  lastTrouble: Promotion.nullable(),
  missing: listOf(Missing),
  canRollBack: StepBack,
} satisfies Record<keyof EnvironmentView, z.ZodType>;

export const Environment = view<EnvironmentView>()('Environment', environmentShape);

const Deployed = view<EnvironmentDetail['services'][number]>()('DeployedService', {
  service: z.string(),
  digest: DigestText,
  url: z.string().nullable(),
  since: Instant,
  runs: z.boolean(),
  observed: z.boolean(),
});

export const EnvironmentWithStory = view<EnvironmentDetail>()('EnvironmentDetail', {
  ...environmentShape,
  trigger: z.string(),
  from: listOf(z.string()),
  gates: listOf(z.string()),
  driver: z.string(),
  services: listOf(Deployed),
  history: listOf(Promotion),
});

const Cell = view<MatrixCell>()('MatrixCell', {
  service: z.string(),
  digest: DigestText,
  releaseId: z.string(),
  url: z.string().nullable(),
  since: Instant,
  runs: z.boolean(),
  observed: z.boolean(),
  ahead: z.boolean(),
});

const Column = view<MatrixEnvironment>()('MatrixEnvironment', { ...environmentShape, cells: listOf(Cell) });

const Unready = view<UnreadyRelease>()('UnreadyRelease', {
  ...releaseBriefShape,
  state: z.enum(['building', 'failed']),
  problem: Problem.nullable(),
});

const MatrixProject = view<MatrixView['projects'][number]>()('MatrixProject', {
  name: z.string(),
  services: listOf(z.string()),
  environments: listOf(Column),
  unready: listOf(Unready),
  untold: Problem.nullable(),
  unseen: Problem.nullable(),
});

export const Matrix = view<MatrixView>()('Matrix', { at: Instant, projects: listOf(MatrixProject) });
