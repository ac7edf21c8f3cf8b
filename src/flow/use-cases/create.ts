import { receiveWebhook } from '../../source/webhook.ts';
import { followEvents, lastEventId } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import type { EventView, UseCases } from '../use-cases.ts';
import { analysed } from '../analysed.ts';
import { auditCases } from './audit.ts';
import { baseCases } from './bases.ts';
import { channelCases } from './channels.ts';
import { diff } from './diff.ts';
import { identify } from './identify.ts';
import { environmentCases } from './environments.ts';
import { evidenceCases } from './evidence.ts';
import { keyCases } from './keys.ts';
import { lineage } from './lineage.ts';
import { logCases, placeOf } from './logs.ts';
import { matrix } from './matrix.ts';
import { outputCases } from './output.ts';
import { pactCases } from './pacts.ts';
import { projectCases } from './projects.ts';
import { promotionCases } from './promotions.ts';
import { registryCases } from './registry.ts';
import { reportCases } from './reports.ts';
import { releaseCases } from './releases.ts';
import { why } from './why.ts';

/** The use cases on the real parts. */
export function createUseCases(house: House): UseCases {
  const { store } = house;
  return {
    projects: projectCases(house),
    matrix: (project) => matrix(house, project),
    releases: releaseCases(house),
    evidence: evidenceCases(house),
    reports: reportCases(house),
    channels: channelCases(house),
    identify: (project, token) => identify(house, project, token),
    bases: baseCases(house),
    pacts: pactCases(house),
    registry: registryCases(house),
    keys: keyCases(house),
    promotions: promotionCases(house),
    environments: environmentCases(house),
    why: (project, subject, where) => why(house, project, subject, where),
    diff: (project, from, to) => diff(house, project, from, to),
    lineage: (project, subject) => lineage(house, project, subject),
    logs: logCases(house),
    output: outputCases(house),
    events: { follow: (afterId, signal) => follow(house, afterId, signal) },
    audit: auditCases(house),
    webhook: (repositoryId, headers, body) =>
      receiveWebhook({ repositoryId, headers, body }, { store, now: house.clock.now(), secretOf: house.secretOf }),
    analysed: (repositoryId, headers, body) => analysed(house, repositoryId, headers, body),
  };
}

/** Without a place to begin at, only what is still to come is told. */
async function* follow({ store }: House, afterId: string | undefined, signal: AbortSignal): AsyncGenerator<EventView> {
  const from = afterId === undefined ? await lastEventId(store.db) : placeOf(afterId);
  const projects = new Map<string, string>();
  for await (const { id, at, projectId, kind, subject, data } of followEvents(store, from, signal)) {
    if (projectId !== null && !projects.has(projectId)) {
      const row = await store.db.selectFrom('project').select('name').where('id', '=', projectId).executeTakeFirst();
      projects.set(projectId, row?.name ?? projectId);
    }
    yield {
      id: String(id),
      at: at.toISOString(),
      project: projectId === null ? null : (projects.get(projectId) ?? null),
      kind,
      subject,
      data,
    };
  }
}
