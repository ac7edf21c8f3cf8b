import { HOME } from '../environment/place.ts';
import { type MatrixEnvironment, type MatrixView, missingText, troublesOf } from '../flow/view/environment.ts';
import { unreadyText } from '../flow/view/unready.ts';
import { ago, shortSha, table, type Paint } from './text.ts';

/** Services x environments of the path as a table, below it a line for each preview (there may be many), then what holds or waits. */
export function matrixText(matrix: MatrixView, paint: Paint): string {
  if (matrix.projects.length === 0) return 'No project yet. Add one: towpath project add URL';
  return matrix.projects.map((project) => projectText(project, Date.parse(matrix.at), paint)).join('\n\n');
}

function projectText(
  { name, services, environments, unready, untold, unseen }: MatrixView['projects'][number],
  now: number,
  paint: Paint,
): string {
  const path = environments.filter(({ kind }) => kind === 'static');
  const columns = [...new Set(path.map(({ environment }) => environment))];
  const repositories = [...new Set(path.map(({ repository }) => repository))];
  const rows = [
    { style: 'head', cells: [name, ...columns] },
    ...repositories.flatMap((repository) => {
      const places = columns.map((column) =>
        path.find((place) => place.environment === column && place.repository === repository),
      );
      const label = repositories.length < 2 ? '' : (repository ?? HOME);
      return [
        { style: 'release', cells: [label, ...places.map(runningText)] },
        { style: 'age', cells: ['', ...places.map((place) => (place?.current ? ago(place.current.since, now) : ''))] },
        ...servicesIn(places, services, repositories.length).map((service) => ({
          style: 'service',
          cells: [service, ...places.map((place) => cellText(place, service))],
        })),
      ];
    }),
  ];
  const grid = table(
    rows.map(({ cells }) => cells),
    (cell, row, column) => {
      const style = rows[row]?.style;
      if (style === 'head' || (style === 'release' && column === 0)) return paint('bold', cell);
      if (style === 'age') return paint('dim', cell);
      return column > 0 && cell.endsWith(AHEAD) ? paint('cyan', cell) : cell;
    },
  );
  const news = unready.map((release) =>
    paint(release.state === 'building' ? 'yellow' : 'red', `${name}: ${unreadyText(release)}`),
  );
  if (unseen !== null)
    news.push(paint('red', `${name}: its repository cannot be looked at: ${unseen.what} ${unseen.fix}`));
  if (untold !== null) news.push(paint('red', `${name}: its git host is not told: ${untold.what} ${untold.fix}`));
  const previews = previewsText(
    environments.filter(({ kind }) => kind === 'preview'),
    now,
    paint,
  );
  return [grid, ...previews, ...environments.flatMap((environment) => notesOn(environment, paint)), ...news].join('\n');
}

function previewsText(previews: readonly MatrixEnvironment[], now: number, paint: Paint): string[] {
  if (previews.length === 0) return [];
  const rows = previews.map((place) => {
    const { name, current } = place;
    return [name, runningText(place), current === null ? '' : ago(current.since, now)];
  });
  return ['', table(rows, (cell, _row, column) => (column === 2 ? paint('dim', cell) : cell))];
}

/** Those of one repository, where there are several. */
function servicesIn(
  places: readonly (MatrixEnvironment | undefined)[],
  services: readonly string[],
  repositories: number,
): readonly string[] {
  if (repositories < 2) return services;
  const here = new Set(places.flatMap((place) => place?.cells.map(({ service }) => service) ?? []));
  return services.filter((service) => here.has(service));
}

const AHEAD = ' >';

/** A preview is known by its branch, whatever else means that commit. */
function runningText(place: MatrixEnvironment | undefined): string {
  if (place === undefined) return '';
  const { branch, current } = place;
  if (current === null) return '-';
  const isOfBranch = branch !== null && current.names.includes(branch);
  const name = isOfBranch ? clipped(branch) : (current.names[0] ?? shortSha(current.commit));
  return `#${current.number} ${name}${current.yanked ? ' YANKED' : ''}${place.revoked.length > 0 ? ' FAILED' : ''}`;
}

/** A column is no wider than the name of a preview may be. */
function clipped(name: string): string {
  return name.length > 48 ? `${name.slice(0, 47)}…` : name;
}

/** The mark says that the next environment of the path runs something older. */
function cellText(place: MatrixEnvironment | undefined, service: string): string {
  const cell = place?.cells.find((candidate) => candidate.service === service);
  return cell === undefined ? '-' : `${cell.digest.slice(7, 19)}${cell.ahead ? AHEAD : ''}`;
}

function notesOn(place: MatrixEnvironment, paint: Paint): string[] {
  const { name, named, stopAskedAt, hold, open, lastTrouble, missing, cells } = place;
  const unrun = cells.flatMap(({ service, runs }) =>
    runs ? [] : [`${name}: ${service} is promoted, and not run here`],
  );
  const unseen = cells.flatMap(({ service, runs, observed }) =>
    runs && !observed ? [`${name}: ${service} is committed, not observed`] : [],
  );
  const urls = cells.flatMap(({ service, url }) => (url === null ? [] : [`${name}: ${service} is at ${url}`]));
  return [
    ...(named
      ? []
      : [paint('yellow', `${name}: not named in towpath.yaml any more; \`towpath env remove ${name}\` ends it`)]),
    ...(stopAskedAt === null ? [] : [paint('yellow', `${name}: what runs there is being taken down`)]),
    ...(hold === null ? [] : [paint('yellow', `${name}: held by ${hold.by}: ${hold.reason}`)]),
    ...troublesOf(place).map(({ what, fix }) =>
      paint('red', `${name}: ${what}${/[.!?]$/.test(what) ? '' : '.'} ${fix}`),
    ),
    ...open.map(({ release, state, headline }) => paint('yellow', `${name}: #${release.number} ${state}: ${headline}`)),
    ...(lastTrouble === null ? [] : [paint('red', `${name}: #${lastTrouble.release.number} ${lastTrouble.headline}`)]),
    ...missing.map((image) => paint('red', `${name}: ${missingText(image)}`)),
    ...urls,
    ...unrun,
    ...unseen,
  ];
}
