import { z } from 'zod';

import { listOf, Name, RelativePath } from '../../lib/fields.ts';
import type { DriverStatement } from '../statement.ts';
import { type ImagePlace, ImagePlaceSchema } from './image-place.ts';
import { RequestSchema } from './request/settings.ts';
import { SuccessSchema } from './success.ts';

const Credential = z
  .string('a reference to a secret: env:NAME, file:/path or github-app:...')
  .regex(
    /^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\/\P{Cc}+|github-app:\P{Cc}+)$/u,
    'a reference to a secret: env:NAME, file:/path or github-app:...',
  );

export const GitopsConfig = z.strictObject({
  repository: z.string().min(1, 'the address of a git repository').describe('The manifest repository'),
  branch: z
    .string()
    .min(1, 'the name of a branch')
    .optional()
    .describe('The branch that is written; its default branch where none is named'),
  folder: RelativePath.optional().describe('Where files of places are looked for, such as environments/prod'),
  credential: Credential.optional().describe('What the repository is reached with: a reference, never the secret'),
  host: z
    .string()
    .optional()
    .describe('What kind of server it is on, where its name does not tell: github, gitlab, gitea'),
  author: z
    .strictObject({
      name: z.string().min(1, 'a name').max(100, 'a name of at most 100 characters'),
      email: z.string().regex(/^[^\s<>]+@[^\s<>]+$/, 'an address'),
    })
    .default({ name: 'Towpath', email: 'towpath@localhost' })
    .describe('Who the commits are by'),
  write: z
    .enum(['digest', 'tag@digest'])
    .default('digest')
    .describe('How a whole reference is written: by digest with the tag as a comment, or with both'),
  request: RequestSchema.optional().describe(
    'Through a pull (merge) request: `true`, or its settings. Without it the branch is pushed to',
  ),
  success: SuccessSchema.default('commit').describe(
    'What counts as done: that it stands in the repository (`commit`), or that who deploys from there tells that it runs',
  ),
  services: z.record(Name, listOf(ImagePlaceSchema)).describe('Service -> where its image stands'),
});
export type GitopsConfig = z.infer<typeof GitopsConfig>;

export const gitopsStatement: DriverStatement<GitopsConfig> = {
  name: 'gitops',
  config: GitopsConfig,
  lacks: ['replicas', 'settings', 'addresses', 'output', 'end', 'jobs', 'isolation'],
};

/** The place with its file from the root of the repository. */
export function inFolder(folder: string | undefined, place: ImagePlace): ImagePlace {
  return folder === undefined || folder === '.' ? place : { ...place, file: `${folder}/${place.file}` };
}

/** Of one field, in words: it tells places of a branch apart, and people where it is. */
export function placeName(place: ImagePlace): string {
  const { file, ...rest } = place;
  const where = 'image' in place ? place.image : 'helm' in place ? place.helm : `images[name=${place.kustomize}]`;
  const document = 'document' in rest && rest.document !== undefined ? Object.values(rest.document).join('/') : '';
  return `${file}${document === '' ? '' : ` (${document})`} ${where}`;
}
