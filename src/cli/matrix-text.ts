import { type MatrixEnvironment, type MatrixView, missingText } from '../flow/view/environment.ts';
import { unreadyText } from '../flow/view/unready.ts';
import { ago, shortSha, table, type Paint } from './text.ts';

/** Services x environments as a table, and below it what holds or waits. */
export function matrixText(matrix: MatrixView, paint: Paint): string {
  if (matrix.projects.length === 0) return 'No project yet. Add one: towpath project add URL';
  return matrix.projects.map((project) => projectText(project, Date.parse(matrix.at), paint)).join('\n\n');
}

function projectText(
  { name, services, environments, unready, untold }: MatrixView['projects'][number],
  now: number,
  paint: Paint,
): string {
  const rows = [
    [name, ...environments.map((environment) => environment.name)],
    ['', ...environments.map(runningText)],
    ['', ...environments.map(({ current }) => (current === null ? '' : ago(current.since, now)))],
    ...services.map((service) => [service, ...environments.map((environment) => cellText(environment, service))]),
  ];
  const grid = table(rows, (cell, row, column) => {
    if (row === 0) return paint('bold', cell);
    if (row === 2) return paint('dim', cell);
    return column > 0 && cell.endsWith(AHEAD) ? paint('cyan', cell) : cell;
  });
  const news = unready.map((release) =>
    paint(release.state === 'building' ? 'yellow' : 'red', `${name}: ${unreadyText(release)}`),
  );
  if (untold !== null) news.push(paint('red', `${name}: its git host is not told: ${untold.what} ${untold.fix}`));
  return [grid, ...environments.flatMap((environment) => notesOn(environment, paint)), ...news].join('\n');
}

const AHEAD = ' >';

function runningText({ current }: MatrixEnvironment): string {
  if (current === null) return '-';
  const name = current.names[0] ?? shortSha(current.commit);
  return `#${current.number} ${name}${current.yanked ? ' YANKED' : ''}`;
}

/** The mark says that the next environment of the path runs something older. */
function cellText({ cells }: MatrixEnvironment, service: string): string {
  const cell = cells.find((candidate) => candidate.service === service);
  return cell === undefined ? '-' : `${cell.digest.slice(7, 19)}${cell.ahead ? AHEAD : ''}`;
}

function notesOn(
  { name, named, stopAskedAt, hold, open, lastTrouble, missing, cells }: MatrixEnvironment,
  paint: Paint,
): string[] {
  const unrun = cells.flatMap(({ service, runs }) =>
    runs ? [] : [`${name}: ${service} is promoted, and not run here`],
  );
  const urls = cells.flatMap(({ service, url }) => (url === null ? [] : [`${name}: ${service} is at ${url}`]));
  return [
    ...(named
      ? []
      : [paint('yellow', `${name}: not named in towpath.yaml any more; \`towpath env remove ${name}\` ends it`)]),
    ...(stopAskedAt === null ? [] : [paint('yellow', `${name}: what runs there is being taken down`)]),
    ...(hold === null ? [] : [paint('yellow', `${name}: held by ${hold.by}: ${hold.reason}`)]),
    ...open.map(({ release, state, headline }) => paint('yellow', `${name}: #${release.number} ${state}: ${headline}`)),
    ...(lastTrouble === null ? [] : [paint('red', `${name}: #${lastTrouble.release.number} ${lastTrouble.headline}`)]),
    ...missing.map((image) => paint('red', `${name}: ${missingText(image)}`)),
    ...urls,
    ...unrun,
  ];
}
