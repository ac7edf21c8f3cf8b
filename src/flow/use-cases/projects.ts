import { sql } from 'kysely';
import { z } from 'zod';

import { recordAudit } from '../../audit/audit-store.ts';
import { CONFIG_FILE } from '../../config/config-file.ts';
import { parseConfig } from '../../config/config.ts';
import { listRefs, type RefListing } from '../../git/ls-refs.ts';
import { openMirror } from '../../git/mirror.ts';
import { parseRemoteUrl, type Remote } from '../../git/remote.ts';
import { TowpathError } from '../../lib/error.ts';
import { newId } from '../../lib/ids.ts';
import { channelOf, noChannel } from '../../notify/channels.ts';
import { recordNoticesToken } from '../../notify/notice-store.ts';
import { environmentsOf } from '../../environment/environment-store.ts';
import { leaveRepositories } from '../../source/leave-store.ts';
import { recordAccess } from '../../source/access-store.ts';
import { hostOf } from '../../source/hosts.ts';
import type { HostedRepository } from '../../source/repository-credential.ts';
import { wakeRepository } from '../../source/wake-store.ts';
import { webUrlOf } from '../../source/web-url.ts';
import type { Sql } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import type { House } from '../house.ts';
import type { AddProject, ChangeProject, UseCases } from '../use-cases.ts';
import type { ProjectView } from '../view/project.ts';
import { projectNamed } from './project-named.ts';

export function projectCases(house: House): UseCases['projects'] {
  const { store } = house;
  return {
    add: (request, by) => add(house, request, by),
    change: (project, request, by) => change(house, project, request, by),
    async list() {
      const rows = await store.db
        .selectFrom('project')
        .select(['id', 'name'])
        .where('removed_at', 'is', null)
        .orderBy('name')
        .execute();
      return Promise.all(rows.map(({ id, name }) => viewOf(store.db, id, name)));
    },
    async show(project) {
      const { id, name } = await projectNamed(store.db, project);
      return viewOf(store.db, id, name);
    },
    async remove(project, by) {
      const { id, name } = await once(store, async (tx) => {
        const { id, name } = await projectNamed(tx, project);
        const ending = await tx
          .updateTable('project')
          .set({ ending_at: new Date(house.clock.now()) })
          .where('id', '=', id)
          .where('ending_at', 'is', null)
          .executeTakeFirst();
        if (ending.numUpdatedRows === 0n) return { id, name };
        await leaveRepositories(tx, id);
        await recordAudit(tx, { actor: by, action: 'project.remove', subject: id, detail: { name } });
        await recordEvent(tx, { projectId: id, kind: 'project.ending', subject: id, data: { name, by } });
        for (const environment of await environmentsOf(tx, id)) await house.starts.remove(tx, environment.id);
        return { id, name };
      });
      return viewOf(store.db, id, name);
    },
    async refresh(project, by) {
      const { id } = await projectNamed(store.db, project);
      const repositories = await store.db.selectFrom('repository').select('id').where('project_id', '=', id).execute();
      await once(store, async (tx) => {
        for (const repository of repositories) await wakeRepository(tx, repository.id, house.clock.now());
        await recordAudit(tx, { actor: by, action: 'project.refresh', subject: id, detail: {} });
      });
    },
  };
}

/** Watches a repository from now on. It is asked for its refs at once, so that a wrong address is told here and not later. */
async function add(house: House, request: AddProject, by: string): Promise<ProjectView> {
  const { store } = house;
  const credential = request.credential ?? null;
  const host = request.host ?? null;
  if (credential !== null) await requireSecret(house, { url: request.url, host }, credential);
  const remote = house.remoteOf(request.url, () => Promise.resolve({ credential, host }));
  const { href } = parseRemoteUrl(remote.url, remote.allow);
  const known = await store.db
    .selectFrom('repository')
    .innerJoin('project', 'project.id', 'repository.project_id')
    .select(['project.id', 'project.name'])
    .where('repository.url', '=', href)
    .where('project.ending_at', 'is', null)
    .where('repository.left_at', 'is', null)
    .executeTakeFirst();
  if (known !== undefined) {
    if (request.name !== undefined && request.name !== known.name) throw watchedBy(known.name, href);
    return viewOf(store.db, known.id, known.name);
  }
  const listing = await listRefs({ ...remote, url: href });
  const defaultRef = listing.kind === 'listed' ? defaultBranchOf(listing, href) : null;
  if (defaultRef === null) {
    throw new TowpathError({
      code: 'project.empty',
      what: 'That repository has no commits on its default branch yet.',
      fix: 'Push a first commit, then add it.',
    });
  }
  const repositoryId = newId('rpo');
  const name =
    request.name ??
    (await nameFrom(
      house,
      repositoryId,
      { ...remote, url: href },
      listing.kind === 'listed' ? (listing.refs.find((ref) => ref.name === defaultRef)?.commit ?? '') : '',
    ));
  await once(store, async (tx) => {
    const project = { id: newId('prj'), name };
    const made = await tx
      .insertInto('project')
      .values(project)
      .onConflict((conflict) => conflict.column('name').where('removed_at', 'is', null).doNothing())
      .returning('id')
      .executeTakeFirst();
    if (made === undefined) {
      throw new TowpathError({
        code: 'project.exists',
        what: `There is a project "${name}" already.`,
        fix: 'Give another name with --name, or change `project` in towpath.yaml.',
      });
    }
    await tx
      .insertInto('repository')
      .values({
        id: repositoryId,
        project_id: project.id,
        url: href,
        host,
        credential,
        default_branch: defaultRef.replace(/^refs\/heads\//, ''),
      })
      .execute();
    await recordAudit(tx, { actor: by, action: 'project.add', subject: project.id, detail: { url: href } });
    await recordEvent(tx, {
      projectId: project.id,
      kind: 'project.added',
      subject: project.id,
      data: { name, url: href },
    });
    await wakeRepository(tx, repositoryId, house.clock.now());
  });
  const row = await projectNamed(store.db, name);
  return viewOf(store.db, row.id, row.name);
}

/** One repository, one towpath.yaml, one project: two would build and name the same images. */
function watchedBy(project: string, url: string): TowpathError {
  return new TowpathError({
    code: 'project.repository-taken',
    what: `The project "${project}" watches ${url} already, and a repository belongs to one project.`,
    fix: `Use --project ${project}; what lives there can be told apart as services and environments of its towpath.yaml.`,
  });
}

async function change(
  house: House,
  project: string,
  { host, credential, webhookSecret, notices, repository: member }: ChangeProject,
  by: string,
): Promise<ProjectView> {
  const { store } = house;
  const { id, name } = await projectNamed(store.db, project);
  const all = await store.db
    .selectFrom('repository')
    .select(['id', 'name', 'url', 'host'])
    .where('project_id', '=', id)
    .where('left_at', 'is', null)
    .orderBy('name')
    .execute();
  const repositories = all.filter((one) => one.name === (member ?? null));
  if (member !== undefined && repositories.length === 0)
    throw noMember(
      name,
      member,
      all.flatMap((one) => one.name ?? []),
    );
  for (const repository of repositories) {
    const kind = host === undefined ? repository.host : host;
    if (typeof credential === 'string') await requireSecret(house, { url: repository.url, host: kind }, credential);
    if (typeof notices === 'string') await requireTeller(house, { url: repository.url, host: kind }, notices);
  }
  if (typeof webhookSecret === 'string') await house.secretOf(webhookSecret);
  await once(store, async (tx) => {
    for (const repository of repositories) {
      await recordAccess(tx, repository.id, { host, credential, webhookSecret });
      if (notices !== undefined) await recordNoticesToken(tx, repository.id, notices, house.clock.now());
      await wakeRepository(tx, repository.id, house.clock.now());
    }
    await recordAudit(tx, {
      actor: by,
      action: 'project.change',
      subject: id,
      detail: {
        ...(member === undefined ? {} : { repository: member }),
        ...(host === undefined ? {} : { host }),
        ...(credential === undefined ? {} : { credential }),
        ...(webhookSecret === undefined ? {} : { webhookSecret }),
        ...(notices === undefined ? {} : { notices }),
      },
    });
  });
  return viewOf(store.db, id, name);
}

function noMember(project: string, member: string, known: readonly string[]): TowpathError {
  return new TowpathError({
    code: 'project.repository-unknown',
    what: `The project "${project}" has no repository "${member}".`,
    fix:
      known.length === 0
        ? 'The home repository names none under `repositories`.'
        : `Name one of: ${known.join(', ')}; without a name it is the home repository.`,
  });
}

/**
 * A reference is followed before it is stored. So a mistake is told at once, and a value that somebody pasted, which leads
 * nowhere, is kept nowhere.
 */
async function requireSecret(house: House, repository: HostedRepository, reference: string): Promise<void> {
  await house.hosts.gitCredential(repository, reference);
}

/** The kind of host has to be known, and the reference to lead somewhere; what the token may do is told at the first notice. */
async function requireTeller(house: House, { url, host }: HostedRepository, reference: string): Promise<void> {
  if (channelOf(hostOf(url, host).name) === null) throw noChannel();
  await house.hosts.gitCredential({ url: webUrlOf(url), host }, reference);
}

/** HEAD says it on a server; a folder of this machine may have any branch checked out, so there the usual names come first. */
function defaultBranchOf(listing: RefListing & { kind: 'listed' }, url: string): string | null {
  const usual = url.startsWith('file:') ? ['refs/heads/main', 'refs/heads/master'] : [];
  return usual.find((name) => listing.refs.some((ref) => ref.name === name)) ?? listing.defaultBranch;
}

/** The name that the repository gives itself. A configuration with mistakes is a mistake to tell before anything is stored. */
async function nameFrom(house: House, repositoryId: string, remote: Remote, commit: string): Promise<string> {
  const mirror = await openMirror({ ...remote, directory: house.mirrorDirectory(repositoryId) });
  try {
    await mirror.ensure(commit);
    const text = await mirror.file(commit, CONFIG_FILE);
    if (text !== null) return parseConfig(text, house.families).project;
  } finally {
    mirror.close();
  }
  throw new TowpathError({
    code: 'config.missing',
    what: `The default branch of that repository has no ${CONFIG_FILE}.`,
    fix: 'Write one at its root and push it; docs/guide/configuration.md begins with an example.',
  });
}

const Problem = z.object({ code: z.string(), what: z.string(), fix: z.string() }).nullable();

async function viewOf(db: Sql, id: string, name: string): Promise<ProjectView> {
  const { ending_at: endingAt } = await db
    .selectFrom('project')
    .select('ending_at')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const rows = await db
    .selectFrom('repository')
    .select(['id', 'name', 'url', 'host', 'default_branch', 'polled_at', 'poll_error', 'config_error'])
    .select(['credential', 'webhook_secret', 'notices', 'notices_error'])
    .where('project_id', '=', id)
    .where((eb) => eb.or([eb('left_at', 'is', null), eb('name', 'is', null)]))
    .orderBy(sql`name is not null`)
    .orderBy('name')
    .execute();
  return {
    id,
    name,
    endingSince: endingAt?.toISOString() ?? null,
    repositories: rows.map((row) => ({
      id: row.id,
      name: row.name,
      url: row.url,
      host: hostOf(row.url, row.host).name,
      defaultBranch: row.default_branch,
      polledAt: row.polled_at?.toISOString() ?? null,
      credential: row.credential,
      webhook: { path: `/hooks/${row.id}`, secret: row.webhook_secret },
      notices: { token: row.notices, problem: Problem.parse(row.notices_error) },
      problem: Problem.parse(row.poll_error),
      configProblem: Problem.parse(row.config_error),
    })),
  };
}
