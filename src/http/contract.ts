import { z } from 'zod';

import type { OperationName } from '../access/operation.ts';
import { Me, NewToken, SessionCode, Token, TokenRequest } from './view/access.ts';
import { Base, Refresh } from './view/base.ts';
import { Channel, ChannelTest } from './view/channel.ts';
import { Environment, EnvironmentWithStory, Matrix } from './view/environment.ts';
import { Pact, PactPair } from './view/pact.ts';
import { Audit, Lineage, Log, Why } from './view/path.ts';
import { RevokedKey, SigningKey } from './view/key.ts';
import { IdentityToken } from './view/identity.ts';
import { Project, ProjectChange, ProjectWish } from './view/project.ts';
import { Diff, PromoteOutcome, Promotion, PromotionWithStory } from './view/promotion.ts';
import { Sweep } from './view/registry.ts';
import { EvidenceWithFiles, Release, ReleaseWithStory, Test } from './view/release.ts';
import { Report, ReportRequest } from './view/report.ts';
import { ID_CURSOR, listOf, Moment, Name, NUMBER_CURSOR, pageOf, pageQuery, ReleaseName, Remark } from './view/view.ts';

/** What goes over the wire for one operation. `answer: null` is a stream, a file, or nothing. */
export interface Exchange {
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  readonly answer: z.ZodType | null;
  /** 200 when it is not given. */
  readonly status?: 201 | 202 | 204;
  /** The answer holds a secret: it is sent once and kept nowhere, not even under an Idempotency-Key. */
  readonly secret?: true;
}

const inProject = z.object({ project: Name });
const ofRelease = z.object({ project: Name, release: ReleaseName });
const ofEvidence = z.object({ project: Name, evidence: Name });
const ofEnvironment = z.object({ project: Name, environment: Name });
const ofPromotion = z.object({ promotion: Name });
const remark = z.object({ comment: Remark.optional() });
const reason = z.object({ reason: Remark.min(1) });
const services = z.record(Name, ReleaseName).describe('Service -> the release it comes from');

/** Server and command line read the same table, so that they cannot disagree about a field. */
export const CONTRACT = {
  'matrix.read': { query: z.object({ project: Name.optional() }), answer: Matrix },
  'event.follow': {
    query: z.object({ project: Name.optional(), after: z.string().max(100).optional() }),
    answer: null,
  },
  'project.list': { answer: listOf(Project) },
  'project.add': { body: ProjectWish, answer: Project, status: 201 },
  'project.show': { params: inProject, answer: Project },
  'project.change': { params: inProject, body: ProjectChange, answer: Project },
  'project.remove': { params: inProject, answer: Project, status: 202 },
  'project.refresh': { params: inProject, answer: null, status: 204 },
  'release.list': { params: inProject, query: pageQuery(NUMBER_CURSOR), answer: pageOf(Release) },
  'release.show': { params: ofRelease, answer: ReleaseWithStory },
  'release.mix': {
    params: inProject,
    body: z.object({ base: ReleaseName, services }),
    answer: Release,
    status: 201,
  },
  'release.yank': { params: ofRelease, body: reason, answer: Release },
  'release.unyank': { params: ofRelease, answer: Release },
  'release.retry': { params: ofRelease, answer: Release, status: 202 },
  'release.test': { params: ofRelease, body: z.object({ check: Name.optional() }), answer: Test, status: 202 },
  'evidence.show': { params: ofEvidence, answer: EvidenceWithFiles },
  'evidence.file': { params: ofEvidence, query: z.object({ path: z.string().min(1).max(500) }), answer: null },
  'artifact.report': { params: inProject, body: ReportRequest, answer: Report, status: 202 },
  'report.show': { params: z.object({ project: Name, report: Name }), answer: Report },
  'report.list': { params: inProject, answer: listOf(Report) },
  'channel.list': { params: inProject, answer: listOf(Channel) },
  'channel.test': { params: z.object({ project: Name, channel: Name }), answer: ChannelTest },
  'base.list': { params: inProject, answer: listOf(Base) },
  'base.refresh': {
    params: inProject,
    body: z.object({ reference: z.string().min(1).max(512).optional(), dryRun: z.boolean().optional() }),
    answer: Refresh,
  },
  'pact.list': { params: inProject, answer: listOf(Pact) },
  'pact.matrix': { params: inProject, answer: listOf(PactPair) },
  'registry.sweep': { body: z.object({ dryRun: z.boolean().optional() }), answer: Sweep },
  'promotion.request': {
    params: ofEnvironment,
    body: z.object({ release: ReleaseName, services: services.optional(), dryRun: z.boolean().optional() }),
    answer: PromoteOutcome,
  },
  'promotion.list': {
    params: inProject,
    query: pageQuery(NUMBER_CURSOR).extend({ environment: Name.optional() }),
    answer: pageOf(Promotion),
  },
  'promotion.show': { params: ofPromotion, answer: PromotionWithStory },
  'promotion.approve': { params: ofPromotion, body: remark, answer: Promotion },
  'promotion.reject': { params: ofPromotion, body: remark, answer: Promotion },
  'promotion.cancel': { params: ofPromotion, answer: Promotion },
  'environment.list': { params: inProject, answer: listOf(Environment) },
  'environment.show': { params: ofEnvironment, answer: EnvironmentWithStory },
  'environment.rollback': {
    params: ofEnvironment,
    body: z.object({ to: ReleaseName.optional(), reason: Remark.optional(), dryRun: z.boolean().optional() }),
    answer: PromoteOutcome,
  },
  'environment.hold': { params: ofEnvironment, body: reason, answer: Environment },
  'environment.resume': { params: ofEnvironment, answer: Environment },
  'environment.stop': {
    params: ofEnvironment,
    body: z.object({ reason: Remark.min(1).optional() }),
    answer: Environment,
    status: 202,
  },
  'environment.remove': { params: ofEnvironment, answer: Environment },
  'path.why': {
    params: inProject,
    query: z.object({
      subject: Name,
      environment: Name.optional().describe('Of a release: in this environment alone'),
      at: Moment.optional().describe('Of a release: as it would have been decided then'),
    }),
    answer: Why,
  },
  'path.diff': { params: inProject, query: z.object({ from: Name, to: Name }), answer: Diff },
  'path.lineage': { params: inProject, query: z.object({ subject: Name }), answer: Lineage },
  'log.read': {
    params: z.object({ log: Name }),
    query: z.object({ after: z.string().max(100).optional() }),
    answer: Log,
  },
  'log.follow': {
    params: z.object({ log: Name }),
    query: z.object({ after: z.string().max(100).optional() }),
    answer: null,
  },
  'output.follow': {
    params: z.object({ project: Name, environment: Name, service: Name }),
    query: z.object({
      tail: z.coerce
        .number()
        .int()
        .min(0)
        .max(5000)
        .default(200)
        .describe('How many of the last lines of each replica come first'),
      follow: z
        .enum(['true', 'false'])
        .default('false')
        .describe('Goes on with what is printed from now on, over deployments too'),
      after: z.string().max(10_000).optional().describe('`seq` of the last batch that was read'),
    }),
    answer: null,
  },
  'key.list': { answer: listOf(SigningKey) },
  'key.rotate': { answer: listOf(SigningKey), status: 201 },
  'key.revoke': {
    body: z.object({ key: z.string().min(8).max(100), reason: Remark.min(1) }),
    answer: RevokedKey,
  },
  'audit.list': {
    query: pageQuery(ID_CURSOR).extend({ subject: Name.optional(), project: Name.optional() }),
    answer: pageOf(Audit),
  },
  'token.list': { answer: listOf(Token) },
  'token.create': { body: TokenRequest, answer: NewToken, status: 201, secret: true },
  'identity.exchange': { body: IdentityToken, answer: NewToken, status: 201, secret: true },
  'token.revoke': { params: z.object({ token: Name }), answer: null, status: 204 },
  'access.me': { answer: Me },
  'session.invite': { answer: SessionCode, status: 201, secret: true },
  'session.open': { body: z.object({ code: z.string().min(1).max(200) }), answer: Me, status: 201 },
  'session.close': { answer: null, status: 204 },
  'server.health': { answer: z.object({ version: z.string() }) },
  'server.ready': { answer: z.object({ version: z.string() }) },
  'server.openapi': { answer: null },
  'webhook.receive': { params: z.object({ repository: Name }), answer: null, status: 202 },
  'analysis.receive': { params: z.object({ repository: Name }), answer: null, status: 202 },
  'page.show': { answer: null },
  'page.asset': { params: z.object({ file: Name }), answer: null },
} as const satisfies Record<OperationName, Exchange>;

type Contract = typeof CONTRACT;

type Part<Name extends OperationName, Key extends 'params' | 'query' | 'body'> = Contract[Name] extends {
  readonly [K in Key]: infer Schema extends z.ZodType;
}
  ? Schema
  : never;

/** A part of a question as the server gets it: validated, defaults filled in. */
export type Taken<Name extends OperationName, Key extends 'params' | 'query' | 'body'> = [Part<Name, Key>] extends [
  never,
]
  ? undefined
  : z.output<Part<Name, Key>>;

/** A part of a question as a client has to give it. */
export type Given<Name extends OperationName, Key extends 'params' | 'query' | 'body'> = [Part<Name, Key>] extends [
  never,
]
  ? undefined
  : z.input<Part<Name, Key>>;

export type Answer<Name extends OperationName> = Contract[Name]['answer'] extends infer Schema extends z.ZodType
  ? z.output<Schema>
  : undefined;
