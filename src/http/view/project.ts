import { z } from 'zod';

import type { AddProject, ProjectView } from '../../flow/use-cases.ts';
import { Problem } from './problem.ts';
import { Instant, listOf, Name, view } from './view.ts';

const Repository = view<ProjectView['repositories'][number]>()('Repository', {
  id: z.string(),
  url: z.string(),
  defaultBranch: z.string(),
  polledAt: Instant.nullable(),
  problem: Problem.nullable(),
  configProblem: Problem.nullable(),
});

export const Project = view<ProjectView>()('Project', {
  id: z.string(),
  name: z.string(),
  repositories: listOf(Repository),
});

export const ProjectWish = view<AddProject>()('ProjectWish', {
  url: z.string().min(1).max(2_000),
  name: Name.optional(),
});
