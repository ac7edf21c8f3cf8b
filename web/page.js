import { ask, follow } from './api.js';
import { whyDialog } from './dialogs.js';
import { el, redraw } from './dom.js';
import { projectSection } from './matrix.js';

const main = document.getElementById('main');
const live = document.getElementById('live');
const seen = new Map();
let permissions = new Set();

/** Events only wake: the matrix is always read whole, and never twice at once. */
let reading = false;
let again = false;
let followNoMore = () => {};

async function draw() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    do {
      again = false;
      const { projects } = await ask('GET', '/matrix');
      redraw(main, ...(projects.length === 0 ? [nothingYet()] : projects.map(section)));
    } while (again);
  } catch (problem) {
    if (problem.code === 'access.unauthenticated') {
      followNoMore();
      askToSignIn();
    } else say('reconnecting');
  } finally {
    reading = false;
  }
}

function section(project) {
  return projectSection(project, (permission) => permissions.has(permission), seen);
}

function nothingYet() {
  return el('p', {}, 'No project yet. Add one: ', el('code', {}, 'towpath project add URL'));
}

function say(state) {
  live.textContent = state;
  live.classList.toggle('is-live', state === 'live');
}

function askToSignIn(reason = '') {
  say('signed out');
  redraw(
    main,
    el('h2', {}, 'Who are you?'),
    reason === '' ? '' : el('p', { class: 'note bad' }, reason),
    el('p', {}, 'Run ', el('code', {}, 'towpath open'), ' and follow the link that it prints.'),
  );
}

/** The code stands behind the #, where no server and no log sees it; it is taken away before anything else loads. */
async function spendCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code === null) return '';
  history.replaceState(null, '', location.pathname);
  try {
    await ask('POST', '/sessions', { code });
    return '';
  } catch (problem) {
    return problem.message; // a link that was followed before is no harm to who is signed in already
  }
}

/** Git hosts link to a release or a promotion: its story opens over the matrix. */
function showLinked() {
  const named = new URLSearchParams(location.hash.slice(1));
  const [project, subject] = [named.get('project'), named.get('why')];
  if (project !== null && subject !== null) void whyDialog(project, subject);
}

async function start() {
  const refused = await spendCode();
  try {
    const me = await ask('GET', '/me');
    permissions = new Set(me.permissions);
    document.getElementById('who').textContent = `${me.user} (${me.roles.join(', ')})`;
  } catch (problem) {
    askToSignIn(problem.code === 'access.unauthenticated' ? refused : problem.message);
    return;
  }
  followNoMore = follow(() => void draw(), say);
  showLinked();
  setInterval(() => void draw(), 30_000);
}

addEventListener('hashchange', () => location.reload());
await start();
