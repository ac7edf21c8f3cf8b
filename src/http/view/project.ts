import { z } from 'zod';

import type { AddProject, ChangeProject } from '../../flow/use-cases.ts';
import type { ProjectView } from '../../flow/view/project.ts';
import { hosts } from '../../source/hosts.ts';
import { Problem } from './problem.ts';
import { Instant, listOf, Name, view } from './view.ts';

const HostName = z.enum(hosts.map(({ name }) => name)).describe('What kind of git server it is');

const Repository = view<ProjectView['repositories'][number]>()('Repository', {
  id: z.string(),
  name: z.string().nullable(),
  url: z.string(),
  host: HostName,
  defaultBranch: z.string(),
  polledAt: Instant.nullable(),
  credential: z.string().nullable(),
  webhook: z.object({ path: z.string(), secret: z.string().nullable() }),
  notices: z.object({ token: z.string().nullable(), problem: Problem.nullable() }),
  problem: Problem.nullable(),
  configProblem: Problem.nullable(),
});

export const Project = view<ProjectView>()('Project', {
  id: z.string(),
  name: z.string(),
  endingSince: Instant.nullable(),
  repositories: listOf(Repository),
});

const Reference = z
  .string()
  .min(1)
  .max(1_000)
  .describe('A reference to a secret, such as `env:SHOP_TOKEN`; never the value');

export const ProjectWish = view<AddProject>()('ProjectWish', {
  url: z.string().min(1).max(2_000),
  name: Name.optional(),
  credential: Reference.optional(),
  host: HostName.optional(),
});

export const ProjectChange = view<ChangeProject>()('ProjectChange', {
  host: HostName.nullable().optional(),
  credential: Reference.nullable().optional(),
  webhookSecret: Reference.nullable().optional(),
  notices: Reference.nullable().optional(),
  repository: Name.optional().describe('Of a member, the name that the home repository gives it; else the home itself'),
});
