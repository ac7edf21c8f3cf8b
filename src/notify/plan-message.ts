import { blamesArtifacts } from '../path/blame.ts';
import { headline } from '../path/headline.ts';
import type { PromotionDetail } from '../path/promotion.ts';
import type { Brought, Message, MessagePlace, Topic } from './message.ts';
import type { Link } from './plan.ts';

/** A message before it has its place in the outbox. */
export interface Draft {
  /** The same for a fact, whoever looks and how often: it is told once. */
  readonly key: string;
  /** What broke or was fixed: what is fixed is told only where what broke was. */
  readonly turn: { readonly about: string; readonly to: 'broke' | 'fixed' } | null;
  readonly message: Message;
}

interface AnyFacts {
  readonly project: string;
  readonly at: Date;
  readonly link: Link;
  readonly release: { readonly number: number; readonly name: string; readonly commit: string };
  readonly commits: Brought;
}

export interface PromotionNews extends AnyFacts {
  readonly promotion: {
    readonly id: string;
    readonly number: number;
    readonly kind: 'promotion' | 'rollback' | 'removal';
    /** Of the event: it never changes. */
    readonly state: 'failed' | 'rolled-back' | 'live' | 'waiting';
    readonly detail: PromotionDetail;
  };
  /** As people call it, with its id. */
  readonly environment: { readonly id: string; readonly name: string };
  readonly place: MessagePlace;
  /** Who may give what is missing, when it waits for approvals. */
  readonly approvers: readonly string[];
}

/** @returns null for what nobody has to be told */
export function planPromotionMessage(news: PromotionNews): Draft | null {
  const { promotion, environment, release } = news;
  const { id, number, kind, state, detail } = promotion;
  const of = `${kind === 'rollback' ? 'the rollback to release' : 'release'} ${release.name}`;
  const about = `environment ${environment.id}`;
  const draft = (topic: Topic, key: string, title: string, more: Partial<Message>, turn: Draft['turn']): Draft => ({
    key: `${key}:${id}`,
    turn,
    message: { ...common(news, topic, title), place: news.place, url: news.link(`promotion ${number}`), ...more },
  });
  switch (state) {
    case 'failed':
    case 'rolled-back': {
      if (kind === 'removal') return null;
      const isBack = state === 'rolled-back';
      const title = `${environment.name}: ${of} failed${isBack ? ' and was rolled back' : ''}`;
      const { problem } = detail;
      const whose =
        problem === undefined || blamesArtifacts(problem)
          ? ''
          : ' It is what they run in that failed: nothing speaks against the commits.';
      const more = { what: `${headline(state, detail)}${whose}`, fix: problem?.fix ?? null };
      return draft(state, 'broke', title, more, { about, to: 'broke' });
    }
    case 'live': {
      if (kind !== 'promotion') return null;
      const more = { what: `Release ${release.name} is live in ${environment.name}.`, fix: null };
      return draft('fixed', 'fixed', `${environment.name}: fixed by ${of}`, more, { about, to: 'fixed' });
    }
    case 'waiting': {
      const reason = (detail.reasons ?? []).find(({ gate }) => gate === 'approvals');
      if (reason === undefined) return null;
      const fix = `\`towpath approve "promotion ${number}"\`, or \`towpath reject\`, by ${list(news.approvers, 'or') || 'somebody of that role'}.`;
      const more = { what: reason.what, fix, approvers: news.approvers };
      return draft('approval', 'approval', `${environment.name}: ${of} waits for approval`, more, null);
    }
    default:
      return state satisfies never;
  }
}

export interface BuildNews extends AnyFacts {
  readonly releaseId: string;
  readonly repositoryId: string;
  readonly state: 'failed' | 'ready';
  readonly problem: { readonly what: string; readonly fix: string } | null;
  /** Short names of the branches that it was built for; the default branch first. */
  readonly branches: readonly string[];
}

export function planBuildMessage(news: BuildNews): Draft | null {
  const { releaseId, repositoryId, state, problem, branches, release } = news;
  const [branch] = branches;
  if (branch === undefined) return null;
  const place = { environment: null, preview: false, branches, ofStrangers: false };
  const about = `build ${repositoryId} ${branch}`;
  const url = news.link(`#${release.number}`);
  if (state === 'failed') {
    const message = common(news, 'build-failed', `${branch}: release ${release.name} has no artifacts`);
    const { what, fix } = problem ?? { what: 'It has no artifacts.', fix: null };
    return {
      key: `build-broke:${releaseId}`,
      turn: { about, to: 'broke' },
      message: { ...message, place, what, fix, url },
    };
  }
  const message = common(news, 'fixed', `${branch}: builds again with release ${release.name}`);
  const what = `Release ${release.name} has all its artifacts.`;
  return { key: `build-fixed:${releaseId}`, turn: { about, to: 'fixed' }, message: { ...message, place, what, url } };
}

export interface YankNews extends AnyFacts {
  /** Of the event: the same release may be yanked again later. */
  readonly eventId: number;
  readonly by: string;
  readonly reason: string;
  /** Where these artifacts run now, as people call it. */
  readonly runsIn: readonly string[];
}

export function planYankMessage(news: YankNews): Draft {
  const { eventId, by, reason, runsIn, release } = news;
  const runs =
    runsIn.length === 0
      ? 'It runs nowhere.'
      : `It runs in ${list(runsIn, 'and')} and stays there until it is replaced.`;
  return {
    key: `yanked:${eventId}`,
    turn: null,
    message: {
      ...common(news, 'yanked', `release ${release.name} was yanked`),
      what: `${by} barred it: ${reason} ${runs}`,
      fix:
        runsIn.length === 0
          ? null
          : `\`towpath rollback ${runsIn[0] ?? ''}\` brings back what ran before; \`towpath unyank "#${release.number}"\` lifts the yank.`,
      url: news.link(`#${release.number}`),
    },
  };
}

export interface RevokedNews extends AnyFacts {
  /** The answer that took a pass back, or gave it back. */
  readonly evidence: string;
  readonly check: string;
  readonly service: string;
  /** What it was asked of. */
  readonly digest: string;
  readonly verdict: 'passed' | 'failed' | 'error';
  readonly summary: string;
  /** Where that runs, as people call it; at least one. */
  readonly runsIn: readonly string[];
  readonly place: MessagePlace;
}

/** One answer about what runs in several environments is one fact. */
export function planRevokedMessage(news: RevokedNews): Draft {
  const { project, evidence, check, service, digest, verdict, summary, runsIn, release, place } = news;
  const about = `answer ${project} ${check} ${service} ${digest}`;
  const where = list(runsIn, 'and');
  const url = news.link(`#${release.number}`);
  if (verdict === 'passed') {
    const title = `${where}: ${check} of ${service} passes again for release ${release.name}`;
    const message = { ...common(news, 'fixed', title), what: sentence(summary), place, url };
    return { key: `cleared:${evidence}`, turn: { about, to: 'fixed' }, message };
  }
  const said = verdict === 'failed' ? 'fails' : 'cannot be answered any more';
  const message = {
    ...common(
      news,
      'revoked',
      `${where}: ${check} of ${service} ${said} for release ${release.name}, which runs there`,
    ),
    what: `It passed before. Now: ${sentence(summary)} Nothing was taken down by it.`,
    fix: `\`towpath rollback ${runsIn[0] ?? ''}\` brings back what ran before; \`towpath test "#${release.number}" ${check}\` asks it again.`,
    place,
    url,
  };
  return { key: `revoked:${evidence}`, turn: { about, to: 'broke' }, message };
}

function common({ project, at, release, commits }: AnyFacts, topic: Topic, title: string): Message {
  return {
    topic,
    project,
    at: at.toISOString(),
    title: `[${project}] ${title}`,
    what: '',
    fix: null,
    release,
    place: { environment: null, preview: false, branches: [], ofStrangers: false },
    commits,
    approvers: [],
    url: '',
  };
}

/** A message by which somebody sees that a channel works. */
export function testMessage(project: string, channel: string, by: string, at: Date, url: string): Message {
  return {
    topic: 'test',
    project,
    at: at.toISOString(),
    title: `[${project}] a test of the channel "${channel}"`,
    what: `${by} asked for it. Nothing happened, and nothing is to be done.`,
    fix: null,
    release: null,
    place: { environment: null, preview: false, branches: [], ofStrangers: false },
    commits: { since: null, newest: [], more: 0 },
    approvers: [],
    url,
  };
}

function list(words: readonly string[], joint: 'and' | 'or'): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} ${joint} ${last}`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
