import { Readable } from 'node:stream';

import type { Identity } from '../../access/identity.ts';
import type { LogBatch, OutputBatch, Page, PageRequest, UseCases } from '../../flow/use-cases.ts';
import type { MatrixEnvironment } from '../../flow/view/environment.ts';
import type { ChannelView } from '../../flow/view/channel.ts';
import type { DiffView, WhyPlaceView } from '../../flow/view/path.ts';
import type { SigningKeyView } from '../../flow/view/key.ts';
import type { PromotionView } from '../../flow/view/promotion.ts';
import type { ReportView } from '../../flow/view/report.ts';
import type { EvidenceView, ReleaseView } from '../../flow/view/release.ts';
import { TowpathError } from '../../lib/error.ts';
import { PROJECT, START, briefOf, createWorld, deployedOf, promotionOf, viewOf, type World } from './world.ts';

const OLD = `sha256:${'0'.repeat(64)}` as const;
const NEW = `sha256:${'1'.repeat(64)}` as const;
const PACT = '1f2e3d4c5b6a'.repeat(5) + '7089';
const PAIR = { consumer: 'worker', provider: 'web', pact: PACT };
const BASE = { reference: 'node:22', services: ['web'] };
const REPORT: ReportView = {
  id: 'rpt_1',
  project: PROJECT,
  service: 'web',
  commit: 'c'.repeat(40),
  digest: NEW,
  image: null,
  state: 'checking',
  by: 'ci-shop',
  identity: null,
  at: START,
  endedAt: null,
  until: null,
  key: null,
  problem: null,
};
const EVIDENCE: EvidenceView = {
  id: 'evi_1',
  check: 'e2e',
  type: 'end-to-end',
  service: 'web',
  verdict: 'failed',
  flaky: false,
  summary: '1 passed, 1 failed',
  at: START,
  logId: 'log_1',
  kept: 3,
};
/** A PNG of one pixel. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const FILES = [
  { path: 'report/index.html', size: 17, digest: NEW, gone: false },
  { path: 'shots/ä 1.png', size: PICTURE.length, digest: OLD, gone: false },
  { path: 'shots/old.svg', size: 5, digest: NEW, gone: true },
];
const PEM = '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n';
const KEY: SigningKeyView = {
  hint: 'hint-of-a-key',
  state: 'active',
  pem: PEM,
  since: START,
  until: null,
  revoked: null,
};
const CHANNEL: ChannelView = {
  name: 'people',
  kind: 'email',
  about: ['failed'],
  environments: null,
  toldAt: START,
  waiting: 0,
  until: null,
  givenUp: 0,
  problem: null,
};
const AWAY = { code: 'notify.away', what: 'hooks.example does not answer.', fix: 'Nothing is to be done.' };
const SECRET = 'never-show-this';
/** The one identity token that is trusted, and the job that it is of. */
export const IDENTITY_TOKEN = 'canary-identity-token';
const IDENTITY: Identity = {
  name: 'actions',
  issuer: 'https://token.actions.githubusercontent.com',
  subject: 'repo:team/shop:ref:refs/heads/main',
  commit: 'c'.repeat(40),
  ref: 'refs/heads/main',
  run: 'https://github.com/team/shop/actions/runs/7',
};

/** Keeps the contract of the use cases over a small world in memory; `prod` waits for an approval. */
export function fakeUseCases(world: World = createWorld()): UseCases & { readonly world: World } {
  const project = {
    id: 'prj_1',
    name: PROJECT,
    endingSince: null,
    repositories: [
      {
        id: 'rep_1',
        name: null,
        url: 'https://git.example/shop',
        host: 'plain',
        defaultBranch: 'main',
        polledAt: START,
        credential: null,
        webhook: { path: '/hooks/rep_1', secret: null },
        notices: { token: null, problem: null },
        problem: null,
        configProblem: null,
        webhookSecret: SECRET, // a field that no schema names: it must never leave the server
      },
    ],
  };
  const did = (by: string, deed: string) => world.deeds.push({ by, deed });

  function replace<Row extends { readonly id: string }>(rows: Row[], row: Row): Row {
    rows[rows.findIndex(({ id }) => id === row.id)] = row;
    return row;
  }

  function land(promotion: PromotionView): PromotionView {
    const environment = environmentNamed(world, promotion.environment);
    const landed = deployedOf(releaseNamed(world, promotion.release.id), environment);
    const before = environment.current;
    const canRollBack = before === null ? environment.canRollBack : { to: before };
    replace(world.environments, { ...landed, open: [], canRollBack });
    world.tell('environment.changed', environment.name);
    return { ...promotion, state: 'live', headline: `live since ${START}`, endedAt: START };
  }

  function decide(id: string, verdict: 'approved' | 'rejected', by: string): PromotionView {
    did(by, `${verdict} ${id}`);
    const promotion = promotionNamed(world, id);
    if (promotion.endedAt !== null) throw failure('promotion.ended', `${id} has ended.`, 'Ask for a new one.');
    const decided: PromotionView =
      verdict === 'approved'
        ? land(promotion)
        : { ...promotion, state: 'refused', headline: `rejected by ${by}`, endedAt: START };
    world.tell('promotion.changed', id);
    return replace(world.promotions, decided);
  }

  return {
    world,
    projects: {
      add: async (request, by) => {
        did(by, `add ${request.url}`);
        return { ...project, name: request.name ?? project.name };
      },
      list: async () => [project],
      show: async (name) => {
        if (name !== PROJECT) throw missing('project', name);
        return project;
      },
      change: async (name, change, by) => {
        did(by, `change ${name} ${JSON.stringify(change)}`);
        return project;
      },
      remove: async (name, by) => {
        did(by, `remove project ${name}`);
        return { ...project, endingSince: START };
      },
      refresh: async (name, by) => {
        did(by, `refresh ${name}`);
      },
    },
    matrix: async () => ({
      at: START,
      projects: [
        {
          name: PROJECT,
          services: [...new Set(world.environments.flatMap(({ cells }) => cells.map(({ service }) => service)))],
          environments: world.environments,
          unready: [],
          untold: null,
          unseen: null,
        },
      ],
    }),
    releases: {
      list: async (_project, page) => pageOf([...world.releases].reverse(), page),
      show: async (_project, name) => ({ ...releaseNamed(world, name), evidence: [EVIDENCE], promotions: [] }),
      mix: async ({ base, services }, by) => {
        did(by, `mix ${base} ${JSON.stringify(services)}`);
        const number = world.releases.length + 1;
        const mixed: ReleaseView = {
          ...releaseNamed(world, base),
          id: `rel_${number}`,
          number,
          names: [],
          mixed: true,
        };
        world.releases.push(mixed);
        return mixed;
      },
      yank: async (_project, name, reason, by) => {
        did(by, `yank ${name}`);
        return replace(world.releases, {
          ...releaseNamed(world, name),
          yanked: true,
          yank: { reason, by, at: START },
        });
      },
      unyank: async (_project, name, by) => {
        did(by, `unyank ${name}`);
        return replace(world.releases, { ...releaseNamed(world, name), yanked: false, yank: null });
      },
      retry: async (_project, name, by) => {
        did(by, `retry ${name}`);
        return releaseNamed(world, name);
      },
      test: async (_project, name, check, by) => {
        did(by, `test ${name} ${check ?? ''}`.trim());
        const asked = check === undefined ? ['unit', 'integration'] : [check];
        return {
          id: 'tst_1',
          release: briefOf(releaseNamed(world, name)),
          asked: asked.map((one) => ({ check: one, service: 'web' })),
          after: String(world.events.length),
        };
      },
    },
    evidence: {
      show: async (_project, id) => ({ ...EVIDENCE, id, files: FILES, leftOut: 1 }),
      file: async (_project, _id, path) => {
        if (!FILES.some((file) => file.path === path)) throw missing('check.file', path);
        const bytes = path.endsWith('.png') ? PICTURE : Buffer.from('<script></script>');
        return { size: bytes.length, bytes: Readable.from([bytes]) };
      },
    },
    reports: {
      make: async ({ service, commit, digest, image = null }, by, identity = null) => {
        did(by, `report ${service}`);
        if (digest === OLD) throw failure('artifact.report-conflict', 'Another digest stands.', 'Report that one.');
        return { ...REPORT, service, commit, digest, image, by, identity };
      },
      show: async (_project, id) => {
        const problem = { code: 'artifact.image-missing', what: 'It is not there.', fix: 'Push it first.' };
        return { ...REPORT, id, state: 'refused', endedAt: START, problem };
      },
      list: async () => [REPORT],
    },
    channels: {
      list: async () => [
        CHANNEL,
        { ...CHANNEL, name: 'chat', kind: 'slack', waiting: 2, until: START, givenUp: 1, problem: AWAY },
      ],
      test: async (_project, channel, by) => {
        did(by, `test channel ${channel}`);
        const receiver = channel === 'people' ? 'ada@shop.test' : null;
        return { channel, results: [{ receiver, problem: channel === 'chat' ? AWAY : null }] };
      },
    },
    identify: async (_project, token) => {
      if (token !== IDENTITY_TOKEN) throw failure('access.identity-refused', 'It is not trusted.', 'Show another.');
      return IDENTITY;
    },
    bases: {
      list: async () => [
        {
          ...BASE,
          kind: 'outside',
          digest: OLD,
          by: 'towpath',
          since: START,
          askedAt: START,
          old: [{ environment: 'prod', service: 'web', digest: NEW }],
        },
      ],
      refresh: async ({ reference, dryRun = false }, by) => {
        did(by, `refresh ${reference ?? 'all bases'}${dryRun ? ' as a dry run' : ''}`);
        const problem = { code: 'artifact.no-base', what: 'It is not there.', fix: 'Push it.' };
        const failed = reference === 'away:1' ? [{ reference, problem }] : [];
        return { dryRun, moves: [{ ...BASE, before: OLD, after: NEW }], same: [], failed };
      },
    },
    pacts: {
      list: async () => [{ digest: PACT, consumer: 'worker', provider: 'web', interactions: 2, since: START }],
      matrix: async () => [
        {
          ...PAIR,
          environment: 'qa',
          check: 'contracts',
          verdict: 'passed',
          summary: '2 held',
          evidence: 'evi_1',
          at: START,
        },
        { ...PAIR, environment: 'prod', check: null, verdict: 'no-check', summary: null, evidence: null, at: null },
      ],
    },
    keys: {
      list: async () => [KEY],
      rotate: async (by) => {
        did(by, 'rotate the key');
        return [KEY, { ...KEY, hint: 'old', state: 'retired', until: START }];
      },
      revoke: async (key, reason, by) => {
        did(by, `revoke the key ${key}: ${reason}`);
        return {
          keys: [KEY, { ...KEY, hint: key, state: 'revoked', revoked: { at: START, by, reason } }],
          signedAnew: 2,
        };
      },
    },
    registry: {
      sweep: async ({ dryRun = false }, by) => {
        did(by, `sweep the registry${dryRun ? ' as a dry run' : ''}`);
        const image = { repository: 'shop/web', digest: OLD, tags: [], bytes: 2_000_000 };
        return {
          dryRun,
          registry: 'registry.test',
          before: START,
          givesUp: [
            {
              project: 'shop',
              service: 'api',
              digest: OLD,
              release: 3,
              reasons: ['is superseded, and nothing has needed it since 2026-10-01'],
            },
          ],
          goes: [{ ...image, reasons: ['has no name, and nothing needs it'] }],
          stays: [{ ...image, digest: NEW, tags: ['v1'], reasons: ['runs in shop/prod', 'is named v1'] }],
          removed: dryRun ? null : { files: 3, bytes: 2_000_000 },
        };
      },
    },
    promotions: {
      request: async (request, by) => {
        const release = releaseNamed(world, request.release);
        const environment = environmentNamed(world, request.environment);
        const needsApproval = environment.name === 'prod';
        const wants = { gate: 'approvals', what: '1 of release-managers', fix: 'towpath approve prod', until: null };
        if (request.dryRun === true) {
          if (release.yanked) return would('refuse', [{ ...wants, gate: 'yank', what: 'it is yanked' }]);
          return would(needsApproval ? 'wait' : 'go', needsApproval ? [wants] : []);
        }
        did(by, `promote ${request.release} to ${request.environment}`);
        const add = (promotion: PromotionView) => {
          world.promotions.push(promotion);
          return { kind: 'started', promotion } as const;
        };
        if (release.yanked)
          return add(promotionOf(world, environment.name, release, 'refused', 'refused: it is yanked', by));
        const state = needsApproval ? 'waiting' : 'deploying';
        const headline = needsApproval ? 'waits for 1 approval of release-managers' : 'deploying web';
        const promotion = promotionOf(world, environment.name, release, state, headline, by);
        if (!needsApproval) return add(land(promotion));
        replace(world.environments, { ...environment, open: [promotion] });
        world.tell('promotion.changed', promotion.id);
        return add(promotion);
      },
      show: async (id) => ({ ...promotionNamed(world, id), reasons: [], approvals: [], events: [] }),
      list: async (_project, page) => pageOf([...world.promotions].reverse(), page),
      approve: async (id, _comment, by) => decide(id, 'approved', by),
      reject: async (id, _comment, by) => decide(id, 'rejected', by),
      cancel: async (id, by) => {
        did(by, `cancel ${id}`);
        const promotion = promotionNamed(world, id);
        return replace(world.promotions, {
          ...promotion,
          state: 'cancelled',
          headline: `cancelled by ${by}`,
          endedAt: START,
        });
      },
    },
    environments: {
      list: async () => world.environments.map(viewOf),
      show: async (_project, name) => {
        const environment = environmentNamed(world, name);
        const services = environment.cells.map(({ service, digest, url, since, runs, observed }) => ({
          service,
          digest,
          url,
          since,
          runs,
          observed,
        }));
        const rules = {
          trigger: 'tag v*',
          from: ['demo'],
          gates: ['1 approval of release-managers'],
          driver: 'process',
        };
        return { ...viewOf(environment), ...rules, services, history: world.promotions };
      },
      rollback: async ({ environment: name, dryRun }, by) => {
        const environment = environmentNamed(world, name);
        const { canRollBack } = environment;
        if (canRollBack.to === null)
          throw failure('environment.step-back-missing', `${name} cannot go back: ${canRollBack.reason}.`, 'Promote.');
        if (dryRun === true) return would('go', []);
        did(by, `rollback ${name}`);
        const release = releaseNamed(world, canRollBack.to.id);
        const promotion: PromotionView = { ...promotionOf(world, name, release, 'live', 'live', by), kind: 'rollback' };
        world.promotions.push(promotion);
        const hold = { reason: `rolled back by ${by}`, by, since: START };
        replace(world.environments, { ...deployedOf(release, environment), hold });
        return { kind: 'started', promotion };
      },
      hold: async (_project, name, reason, by) => {
        did(by, `hold ${name}`);
        const held = { ...environmentNamed(world, name), hold: { reason, by, since: START } };
        return viewOf(replace(world.environments, held));
      },
      resume: async (_project, name, by) => {
        did(by, `resume ${name}`);
        return viewOf(replace(world.environments, { ...environmentNamed(world, name), hold: null }));
      },
      stop: async (_project, name, reason, by) => {
        did(by, `stop ${name}`);
        const environment = environmentNamed(world, name);
        const hold = { reason: reason === undefined ? 'stopped' : `stopped: ${reason}`, by, since: START };
        const empty = { ...environment, hold, current: null, cells: [] };
        replace(world.environments, empty);
        return { ...viewOf(empty), current: environment.current, stopAskedAt: START };
      },
      remove: async (_project, name, by) => {
        did(by, `remove ${name}`);
        return viewOf(environmentNamed(world, name));
      },
    },
    why: async (_project, subject, { environment, at } = {}) => ({
      subject,
      at: at?.toISOString() ?? null,
      environments: environment === undefined && !subject.startsWith('v') ? [] : [whyPlace(environment ?? 'prod')],
      headline: `${subject} waits for 1 approval of release-managers`,
      reasons: [{ gate: 'approvals', what: '0 of 1 given', fix: 'towpath approve prod', until: null }],
      story: [{ at: START, what: 'requested by Ada' }],
    }),
    diff: async (_project, from, to) => diffOf(from, to),
    lineage: async (_project, subject) => ({
      subject,
      commits: [],
      releases: world.releases.slice(0, 1).map(briefOf),
      artifacts: [],
      evidence: [],
      environments: [],
    }),
    logs: {
      projectsOf: async (log) => (log.startsWith('log_') ? [PROJECT] : []),
      read: async (log, after) => {
        if (!log.startsWith('log_')) throw missing('log', log);
        return LOG[Number(after ?? 0)] ?? { lines: [], seq: after ?? '0', ended: true };
      },
      async *follow(_log, after, signal) {
        for (const batch of LOG.slice(Number(after ?? 0))) if (!signal.aborted) yield batch;
      },
    },
    output: {
      open: async (_project, environment, service) => {
        environmentNamed(world, environment);
        if (service === 'worker')
          throw failure('output.elsewhere', 'It runs on another machine.', 'Ask the server there: --server URL.');
        return async function* (wish) {
          for (const batch of OUTPUT.slice(Number(wish.after ?? 0))) {
            if (batch.promotion === 13 && !wish.follow) continue;
            yield { ...batch, lines: batch.lines.slice(-wish.tail) };
          }
          yield { replica: '', promotion: null, lines: [], note: null, seq: '', ended: true };
        };
      },
    },
    events: {
      async *follow(after, signal) {
        let next = Number(after ?? world.events.length);
        while (!signal.aborted) {
          const event = world.events[next];
          if (event === undefined) await Promise.race([world.changed(), aborted(signal)]);
          else {
            next += 1;
            yield event;
          }
        }
      },
    },
    audit: {
      list: async (page) => {
        const entries = world.deeds.map(({ by, deed }, index) => entryOf(index, by, deed));
        return pageOf(entries, page);
      },
    },
    webhook: async (_repository, headers, body) => {
      if (headers['webhook-signature'] !== 'v1,good')
        throw failure('webhook.unsigned', 'The signature is wrong.', 'Sign it.');
      did('webhook', body.toString('utf8'));
      return 'woken';
    },
    analysed: async (repository) => {
      did('analysed', repository);
    },
  };
}

const OUTPUT: readonly OutputBatch[] = [
  { replica: 'aa-0', promotion: 12, lines: ['listening', 'GET /'], note: null, seq: '1', ended: false },
  { replica: 'aa-0', promotion: 12, lines: ['bye'], note: 'lines before these are gone', seq: '2', ended: false },
  { replica: 'bb-0', promotion: 13, lines: ['listening'], note: null, seq: '3', ended: false },
];

const LOG: readonly LogBatch[] = [
  { lines: ['npm ci', 'added 12 packages'], seq: '1', ended: false },
  { lines: ['done'], seq: '2', ended: true },
];

function would(
  verdict: 'go' | 'wait' | 'refuse',
  reasons: readonly { gate: string; what: string; fix: string; until: null }[],
) {
  return { kind: 'would', verdict, reasons, diff: diffOf('now', 'then') } as const;
}

function diffOf(from: string, to: string): DiffView {
  const digest = (text: string) => `sha256:${text.padEnd(64, '0')}` as const;
  const services = [
    { service: 'web', from: digest('aa'), to: digest('bb'), same: false },
    { service: 'worker', from: digest('cc'), to: digest('cc'), same: true },
  ];
  const commits = [{ sha: 'b'.repeat(40), author: 'Ada', at: START, subject: 'Checkout in one step' }];
  return { from, to, services, commits: from === to ? [] : commits, lost: [] };
}

function entryOf(index: number, by: string, deed: string) {
  return { id: `aud_${index}`, at: START, actor: by, action: 'did', subject: deed, name: deed, detail: {} };
}

function releaseNamed(world: World, name: string): ReleaseView {
  const found = world.releases.find(
    ({ id, number, commit, names }) =>
      id === name || `#${number}` === name || names.includes(name) || (name.length >= 7 && commit.startsWith(name)),
  );
  if (found === undefined) throw missing('release', name);
  return found;
}

function environmentNamed(world: World, name: string): MatrixEnvironment {
  const found = world.environments.find((environment) => environment.name === name);
  if (found === undefined) throw missing('environment', name);
  return found;
}

function promotionNamed(world: World, id: string): PromotionView {
  const found = world.promotions.find((promotion) => promotion.id === id || `promotion ${promotion.number}` === id);
  if (found === undefined) throw missing('promotion', id);
  return found;
}

function pageOf<Item>(items: readonly Item[], { limit, cursor }: PageRequest): Page<Item> {
  const start = Number(cursor ?? 0);
  const rest = items.slice(start, start + limit);
  return start + limit < items.length ? { items: rest, next: String(start + limit) } : { items: rest };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function missing(noun: string, name: string): TowpathError {
  return failure(
    `${noun}.missing`,
    `There is no ${noun} "${name}".`,
    `List what is there with \`towpath ${noun} list\`.`,
  );
}

function failure(code: string, what: string, fix: string): TowpathError {
  return new TowpathError({ code, what, fix });
}

function whyPlace(environment: string): WhyPlaceView {
  const answer = {
    id: 'evi_1',
    check: 'unit',
    type: 'integration' as const,
    service: 'web',
    verdict: 'passed' as const,
    flaky: false,
    kept: 3,
  };
  const passed = { ...answer, summary: '9 passed', at: START, logId: 'log_1', reusedFrom: '#1 (1111111)' };
  const rest = { fix: null, until: null };
  return {
    environment,
    verdict: 'refuse',
    headline: 'refuses it: lint failed',
    until: null,
    promotion: null,
    lines: [
      { gate: 'unit', what: 'unit passed: web: 9 passed', verdict: 'pass', evidence: [passed], ...rest },
      { gate: 'lint', what: 'lint failed', verdict: 'refuse', evidence: [], ...rest, fix: 'Fix it and push.' },
    ],
    unknown: ['Holds are not known.'],
  };
}
