import { z } from 'zod';

import type { AuditView, EventView, LogBatch, OutputBatch } from '../../flow/use-cases.ts';
import type { LineageView, ReportedView, WhyPlaceView, WhyView } from '../../flow/view/path.ts';
import { Identity } from './identity.ts';
import { Brief, Reason, State } from './promotion.ts';
import { Evidence } from './release.ts';
import { DigestText, Instant, listOf, view } from './view.ts';

const WhyLine = view<WhyPlaceView['lines'][number]>()('WhyLine', {
  ...Reason.shape,
  verdict: z.enum(['pass', 'wait', 'refuse']),
  evidence: listOf(Evidence.extend({ reusedFrom: z.string().nullable() }).meta({ id: 'WhyEvidence' })),
});

const WhyPlace = view<WhyPlaceView>()('WhyPlace', {
  environment: z.string(),
  verdict: z.enum(['runs', 'go', 'wait', 'refuse']),
  headline: z.string(),
  until: Instant.nullable(),
  promotion: z.string().nullable(),
  lines: listOf(WhyLine),
  unknown: listOf(z.string()),
});

export const Why = view<WhyView>()('Why', {
  subject: z.string(),
  at: Instant.nullable(),
  environments: listOf(WhyPlace),
  headline: z.string(),
  reasons: listOf(Reason),
  story: listOf(z.object({ at: Instant, what: z.string() })),
});

const LineageCommit = view<LineageView['commits'][number]>()('LineageCommit', {
  sha: z.string(),
  author: z.string(),
  subject: z.string(),
  refs: listOf(z.string()),
});

const Reported = view<ReportedView>()('Reported', {
  by: z.string(),
  at: Instant,
  commit: z.string(),
  image: z.string(),
  provenance: z
    .object({
      builder: z.string().nullable(),
      sources: listOf(z.object({ uri: z.string(), commit: z.string().nullable() })),
      signed: z.boolean().describe('Whether signatures came with it; they are not looked at'),
    })
    .nullable(),
  identity: Identity.nullable(),
});

const LineageArtifact = view<LineageView['artifacts'][number]>()('LineageArtifact', {
  service: z.string(),
  key: z.string(),
  digest: DigestText.nullable(),
  builtFor: z.string(),
  reported: Reported.nullable(),
  upon: listOf(z.object({ service: z.string(), key: z.string() })),
});

const LineageStop = view<LineageView['environments'][number]>()('LineageStop', {
  environment: z.string(),
  promotion: z.string(),
  release: z.string(),
  state: State,
  at: Instant,
  now: z.boolean(),
});

export const Lineage = view<LineageView>()('Lineage', {
  subject: z.string(),
  commits: listOf(LineageCommit),
  releases: listOf(Brief),
  artifacts: listOf(LineageArtifact),
  evidence: listOf(Evidence),
  environments: listOf(LineageStop),
});

export const Log = view<LogBatch>()('LogBatch', {
  lines: listOf(z.string()),
  seq: z.string().describe('Give it back as `after` to go on'),
  ended: z.boolean(),
});

export const Output = view<OutputBatch>()('OutputBatch', {
  replica: z.string(),
  promotion: z.number().nullable().describe('The number of the promotion that started it'),
  lines: listOf(z.string()),
  note: z.string().nullable(),
  seq: z.string().describe('Give it back as `after` to go on'),
  ended: z.boolean(),
});

export const Event = view<EventView>()('Event', {
  id: z.string(),
  at: Instant,
  project: z.string().nullable(),
  kind: z.string(),
  subject: z.string(),
  data: z.record(z.string(), z.unknown()),
});

export const Audit = view<AuditView>()('AuditEntry', {
  id: z.string(),
  at: Instant,
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  name: z.string(),
  detail: z.record(z.string(), z.unknown()),
});
