import { ago, button, checkTitle, el, link, releaseName } from './dom.js';
import {
  approveDialog,
  cancelDialog,
  holdDialog,
  promoteDialog,
  rejectDialog,
  resume,
  rollbackDialog,
  whyDialog,
} from './dialogs.js';

/**
 * One project: services down, environments across in the order of the path. Where it has several repositories, each is a
 * group of rows, headed by what it runs where.
 */
export function projectSection(project, may, seen) {
  const { name, services, environments, unready, untold, unseen } = project;
  const columns = [...new Set(environments.map(({ environment }) => environment))];
  const groups = [...new Set(environments.map(({ repository }) => repository))].map((repository) => ({
    repository,
    places: columns.map((column) =>
      environments.find((place) => place.environment === column && place.repository === repository),
    ),
  }));
  const one = groups.length < 2;
  const headers = columns.map((column, index) =>
    one ? environmentHeader(name, groups[0].places[index], may) : columnHeader(name, column, groups, index, may),
  );
  const rows = groups.flatMap(({ repository, places }) => [
    one ? '' : repositoryRow(name, repository, places, may),
    ...servicesIn(places, services, one).map((service) =>
      el(
        'tr',
        {},
        el('th', { scope: 'row' }, service),
        places.map((place, index) => cell(place, service, nextOf(places, index), seen)),
      ),
    ),
  ]);
  return el(
    'section',
    { 'aria-labelledby': `project-${name}` },
    el('h2', { id: `project-${name}` }, name),
    unready.map(unreadyNote),
    unseen === null
      ? ''
      : el('p', { class: 'note bad' }, `Its repository cannot be looked at: ${unseen.what} ${unseen.fix}`),
    untold === null ? '' : el('p', { class: 'note bad' }, `Its git host is not told: ${untold.what} ${untold.fix}`),
    el(
      'div',
      {
        class: 'scroll',
        tabindex: '0',
        role: 'region',
        'aria-label': `${name}: services by environment`,
        'data-key': name,
      },
      el(
        'table',
        {},
        el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'service'), headers)),
        el('tbody', {}, rows),
      ),
    ),
  );
}

/** What was pushed and can run nowhere, yet or ever. */
function unreadyNote({ number, commit, names, state, problem }) {
  const building = problem === null ? 'is being built' : `waits: ${problem.what}`;
  const what = state === 'building' ? building : `has no artifacts: ${problem?.what ?? 'the build failed.'}`;
  const of = names.length === 0 ? '' : ` (${names.join(', ')})`;
  return el(
    'p',
    { class: state === 'building' ? 'note' : 'note bad' },
    `#${number} ${commit.slice(0, 7)}${of} ${what}`,
  );
}

/** A service that runs nowhere of several repositories is in no row. */
function servicesIn(places, services, one) {
  return one
    ? services
    : services.filter((service) => places.some((place) => place?.cells.some((found) => found.service === service)));
}

function environmentHeader(project, place, may) {
  return el('th', { scope: 'col' }, nameOf(place.name, place), ...placeState(project, place.name, place, may, true));
}

/** What goes into an environment of several repositories goes where its repository's releases run. */
function columnHeader(project, column, groups, index, may) {
  const place = groups.map(({ places }) => places[index]).find((found) => found !== undefined);
  return el('th', { scope: 'col' }, nameOf(column, place), promoteButton(project, column, place, may));
}

function nameOf(name, { kind, branch }) {
  return [
    el('p', { class: 'name' }, name, kind === 'preview' ? el('span', { class: 'soft' }, ' preview') : ''),
    branch === null ? '' : el('p', { class: 'soft subject', title: branch }, branch),
  ];
}

function repositoryRow(project, repository, places, may) {
  return el(
    'tr',
    { class: 'repository' },
    el('th', { scope: 'row' }, repository ?? 'home', el('p', { class: 'soft' }, 'repository')),
    places.map((place) =>
      el('td', {}, ...(place === undefined ? [] : placeState(project, exactName(place), place, may, false))),
    ),
  );
}

/** The name of an environment means the places of all repositories; this one means that of the home too. */
function exactName({ name, environment, repository }) {
  return repository === null ? `${environment}.home` : name;
}

function promoteButton(project, name, { kind }, may) {
  return may('promotion:request') && kind !== 'preview'
    ? button(`${project}/${name}/promote`, 'Promote', () => promoteDialog({ project, environment: name }), {
        'aria-label': `Promote into ${name}`,
      })
    : '';
}

function placeState(project, name, place, may, withPromote) {
  const { named, current, hold, endProblem, open, lastTrouble, missing, revoked, canRollBack } = place;
  const key = (what) => `${project}/${name}/${what}`;
  const label = (what) => ({ 'aria-label': `${what} ${name}` });
  const about = { project, environment: name };
  return [
    current === null
      ? el('p', { class: 'soft' }, endProblem === null ? 'nothing runs here' : 'nothing is to run here any more')
      : [
          el(
            'p',
            {},
            button(key('release'), releaseName(current), () => whyDialog(project, `#${current.number}`), {
              class: 'plain',
              title: 'Where it may go, and why',
            }),
            current.yanked ? ' (yanked)' : '',
          ),
          el('p', { class: 'soft subject', title: current.subject }, current.subject),
          el('p', { class: 'soft' }, el('time', { datetime: current.since }, ago(current.since))),
        ],
    current?.yank ? el('p', { class: 'note bad' }, `yanked by ${current.yank.by}: ${current.yank.reason}`) : '',
    revoked.map(({ check, type, service, verdict, summary, since }) =>
      el(
        'p',
        { class: 'note bad' },
        `${checkTitle(check, type)} of ${service} ${verdict === 'failed' ? 'failed' : 'could not be answered'} ${ago(since)} for what runs here: ${summary}`,
      ),
    ),
    named ? '' : el('p', { class: 'note' }, 'not named in towpath.yaml any more'),
    endProblem === null ? '' : el('p', { class: 'note bad' }, `${endProblem.what} ${endProblem.fix}`),
    hold === null ? '' : el('p', { class: 'note' }, `held by ${hold.by}: ${hold.reason}`),
    open.map((promotion) => openPromotion(project, promotion, may)),
    lastTrouble === null
      ? ''
      : el('p', { class: 'note bad' }, `#${lastTrouble.release.number} ${lastTrouble.state}: ${lastTrouble.headline}`),
    missing.map(({ release, repository, digest }) =>
      el(
        'p',
        { class: 'note bad' },
        `the image of #${release} is gone from the registry: ${repository}@${digest.slice(0, 19)}`,
      ),
    ),
    el(
      'div',
      { class: 'actions' },
      withPromote ? promoteButton(project, name, place, may) : '',
      may('environment:rollback') && canRollBack.to !== null
        ? button(key('rollback'), 'Roll back', () => rollbackDialog(about, canRollBack.to), label('Roll back'))
        : '',
      may('environment:hold')
        ? hold === null
          ? button(key('hold'), 'Hold', () => holdDialog(about), label('Hold'))
          : button(key('hold'), 'Resume', () => resume(about), label('Resume'))
        : '',
      button(key('why'), 'Why', () => whyDialog(project, name), label('Why is it so in')),
    ),
  ];
}

function openPromotion(project, promotion, may) {
  const { id, release, state, headline, gates } = promotion;
  const label = (what) => ({ 'aria-label': `${what} ${releaseName(release)} into ${promotion.environment}` });
  const waits = state === 'waiting' && gates.includes('approvals') && may('promotion:decide');
  return el(
    'div',
    { class: 'note' },
    el('p', {}, `${releaseName(release)} ${state}: ${headline}`),
    el(
      'div',
      { class: 'actions' },
      waits ? button(`${id}/approve`, 'Approve', () => approveDialog(promotion), label('Approve')) : '',
      waits ? button(`${id}/reject`, 'Reject', () => rejectDialog(promotion), label('Reject')) : '',
      may('promotion:request') ? button(`${id}/cancel`, 'Cancel', () => cancelDialog(promotion), label('Cancel')) : '',
      button(`${id}/why`, 'Why', () => whyDialog(project, id), label('Why waits')),
    ),
  );
}

/** The neighbour on the path: previews stand behind it and are nobody's next. */
function nextOf(environments, index) {
  const next = environments[index + 1];
  return next?.kind === 'static' ? next : undefined;
}

/** `seen` remembers what stood here before, so that what has just changed lights up once. */
function cell(place, service, next, seen) {
  const found = place?.cells.find((candidate) => candidate.service === service);
  if (found === undefined) return el('td', { class: 'soft' }, 'none');
  const key = `${place.name}/${service}`;
  const fresh = seen.has(key) && seen.get(key) !== found.digest;
  seen.set(key, found.digest);
  return el(
    'td',
    { class: fresh ? 'fresh' : undefined },
    el('code', { title: found.digest }, found.digest.slice(7, 19)),
    found.ahead
      ? el('p', { class: 'ahead' }, next === undefined ? 'newer than the next' : `newer than ${next.environment}`)
      : '',
    found.runs ? '' : el('p', { class: 'soft' }, 'not run here'),
    found.runs && !found.observed ? el('p', { class: 'soft' }, 'committed, not observed') : '',
    found.url === null ? '' : el('p', {}, link(found.url, found.url.replace(/^https?:\/\//, ''))),
  );
}
