import { z } from 'zod';

import { choiceOf, listOf } from '../lib/fields.ts';

/** One claim that has to be there, and the patterns of which one has to match it; `*` stands for anything. */
export interface Condition {
  readonly claim: string;
  readonly patterns: readonly string[];
}

/** Whose identity tokens a project takes for a report, and what they have to say. */
export interface Trust {
  readonly kind: 'github' | 'gitlab' | 'oidc';
  readonly issuer: string;
  /** Null: the address of this installation. */
  readonly audience: string | null;
  /** All of them have to hold. */
  readonly conditions: readonly Condition[];
  /** The claim that names the commit of the job; null where the issuer gives none. */
  readonly commit: string | null;
}

/** An issuer is asked for its keys under this address, so that it is by https alone and holds nothing but a place. */
const Issuer = z
  .string()
  .max(300)
  .refine(isPlainHttps, 'the https address of an issuer, as its tokens have it in `iss`')
  .describe('The issuer, as its tokens have it in `iss`');

const Pattern = z.string().min(1).max(256);
const Patterns = listOf(Pattern).pipe(z.array(Pattern).min(1, 'at least one').max(32));
const Claim = z.string().min(1).max(128);

const Audience = z
  .string()
  .min(1)
  .max(300)
  .optional()
  .describe('What its tokens have in `aud` (the address under which people open Towpath)');
const More = z.record(Claim, Patterns).default({}).describe('More claims that have to be so; `*` stands for anything');
/** Others are of pull and merge requests, which strangers write. */
const Ref = Pattern.regex(/^refs\/(?:heads|tags)\//, 'a branch or tag in full, such as refs/heads/main');
const Refs = listOf(Ref)
  .pipe(z.array(Ref).min(1, 'at least one').max(32))
  .default(['refs/heads/*', 'refs/tags/*'])
  .describe('Branches and tags, as refs (all)');
/** Each by its name: a pattern would let in what is not known yet. */
const Event = z
  .string()
  .max(64)
  .regex(/^[a-z_]+$/, 'the name of an event, such as push');
const Events = listOf(Event).pipe(z.array(Event).min(1, 'at least one').max(32));
const Digits = z.string('digits in quotes').regex(/^\d{1,20}$/, 'digits');

const GitHub = z
  .strictObject({
    repository: z
      .string()
      .regex(/^[\w.-]+\/[\w.-]+$/, 'OWNER/REPOSITORY')
      .describe('OWNER/REPOSITORY, written as GitHub does'),
    id: Digits.optional().describe('Its id, which no other repository gets when this one is renamed or deleted'),
    refs: Refs,
    events: Events.default(['push', 'workflow_dispatch', 'schedule', 'release']).describe(
      'What started the workflow (push, workflow_dispatch, schedule, release)',
    ),
    claims: More,
    issuer: Issuer.default('https://token.actions.githubusercontent.com'),
    audience: Audience,
  })
  .transform(({ repository, id, refs, events, claims, ...rest }) =>
    trustOf('github', rest, { repository, repository_id: id, ref: refs, event_name: events }, claims, 'sha'),
  );

const GitLab = z
  .strictObject({
    project: z
      .string()
      .regex(/^[\w.-]+(?:\/[\w.-]+)+$/, 'GROUP/PROJECT')
      .describe('GROUP/PROJECT, with all groups'),
    id: Digits.optional().describe('Its id, which no other project gets when this one is renamed or deleted'),
    refs: Refs,
    events: Events.default(['push', 'web', 'schedule']).describe(
      'What started the pipeline, as CI_PIPELINE_SOURCE has it (push, web, schedule)',
    ),
    claims: More,
    issuer: Issuer.default('https://gitlab.com').describe('The address of the GitLab'),
    audience: Audience,
  })
  .transform(({ project, id, refs, events, claims, ...rest }) =>
    trustOf(
      'gitlab',
      rest,
      { project_path: project, project_id: id, ref_path: refs, pipeline_source: events },
      claims,
      'sha',
    ),
  );

const Oidc = z
  .strictObject({
    issuer: Issuer,
    audience: Audience,
    claims: z
      .record(Claim, Patterns)
      .refine(
        (claims) => Object.values(claims).some((patterns) => patterns.every((pattern) => !/[*?[{\\]/.test(pattern))),
        'at least one claim without a pattern, which names the repository',
      )
      .describe('Claims that have to be so; one at least names the repository, without a `*`'),
    commit: Claim.optional().describe('The claim that names the commit; without it a token may report any commit'),
  })
  .transform(({ claims, commit, ...rest }) => trustOf('oidc', rest, {}, claims, commit ?? null));

/** One entry under `identities` in `towpath.yaml`. */
export const trustSchema = choiceOf('kind of identity', { github: GitHub, gitlab: GitLab, oidc: Oidc }).transform(
  ({ settings }) => settings as Trust, // what each of the three makes
);

function trustOf(
  kind: Trust['kind'],
  { issuer, audience = null }: { readonly issuer: string; readonly audience?: string | null | undefined },
  own: Readonly<Record<string, string | readonly string[] | undefined>>,
  more: Readonly<Record<string, readonly string[]>>,
  commit: string | null,
): Trust {
  const conditions = [...Object.entries(own), ...Object.entries(more)].flatMap(([claim, patterns]) =>
    patterns === undefined ? [] : [{ claim, patterns: [patterns].flat() }],
  );
  return { kind, issuer, audience, conditions, commit };
}

function isPlainHttps(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash, href } = new URL(text);
  const isPlain = username === '' && password === '' && search === '' && hash === '';
  return protocol === 'https:' && isPlain && (href === text || href === `${text}/`);
}
