import { ask, path } from './api.js';
import { ago, button, checkTitle, el, releaseName } from './dom.js';

const dialog = document.getElementById('dialog');

/** Opens the dialog; `confirm` acts, and the dialog stays open with the problem when that fails. */
function show(title, content, confirm, confirmText) {
  const said = el('p', { class: 'note bad', role: 'alert', hidden: true });
  const close = button('close', confirm === undefined ? 'Close' : 'Not now', () => dialog.close());
  const act = async (event) => {
    event.preventDefault();
    const pressed = form.querySelector('button.main');
    pressed.disabled = true;
    try {
      await confirm();
      dialog.close();
    } catch (problem) {
      said.textContent = problem.message;
      said.hidden = false;
      pressed.disabled = false;
    }
  };
  const main = confirm === undefined ? '' : el('button', { class: 'main', type: 'submit' }, confirmText);
  const form = el('form', { on: { submit: act } }, content, said, el('div', { class: 'actions' }, main, close));
  dialog.replaceChildren(el('h2', { id: 'dialog-title' }, title), form);
  dialog.showModal();
}

export async function promoteDialog({ project, environment }) {
  const answer = el('div', { role: 'status' }, 'Choose a release to see what the policy says.');
  const select = el('select', { name: 'release', required: true }, el('option', { value: '' }, 'choose'));
  const target = path`/projects/${project}/environments/${environment}/promotions`;
  select.addEventListener('change', () => void preview(answer, target, { release: select.value, dryRun: true }));
  show(
    `Promote into ${environment} of ${project}`,
    [el('label', {}, 'Release', select), answer],
    () => ask('POST', target, { release: select.value }),
    'Promote',
  );
  try {
    const page = await ask('GET', `${path`/projects/${project}/releases`}?limit=100`);
    select.append(
      ...page.items.map((release) =>
        el(
          'option',
          { value: release.id, disabled: release.state !== 'ready' },
          `${releaseName(release)} ${release.subject}${release.state === 'ready' ? '' : ` (${release.state})`}`,
        ),
      ),
    );
  } catch (problem) {
    answer.textContent = problem.message;
  }
}

export function rollbackDialog({ project, environment }, to) {
  const target = path`/projects/${project}/environments/${environment}/rollback`;
  const answer = el('div', { role: 'status' }, 'Asking the policy.');
  const reason = el('input', { name: 'reason', maxlength: '500', autocomplete: 'off' });
  show(
    `Roll ${environment} of ${project} back to ${releaseName(to)}`,
    [
      el('p', {}, 'It goes ahead of everything else, builds nothing, and holds the environment afterwards.'),
      el('label', {}, 'Reason', reason),
      answer,
    ],
    () => ask('POST', target, { to: to.id, ...(reason.value === '' ? {} : { reason: reason.value }) }),
    'Roll back',
  );
  void preview(answer, target, { to: to.id, dryRun: true });
}

export function holdDialog({ project, environment }) {
  const reason = el('input', { name: 'reason', required: true, maxlength: '500', autocomplete: 'off' });
  const target = path`/projects/${project}/environments/${environment}/hold`;
  show(
    `Hold ${environment} of ${project}`,
    [el('p', {}, 'Nothing moves in by itself until it is resumed.'), el('label', {}, 'Reason', reason)],
    () => ask('POST', target, { reason: reason.value }),
    'Hold',
  );
}

export function resume({ project, environment }) {
  show(
    `Resume ${environment} of ${project}`,
    el('p', {}, 'What waits for it may move in at once.'),
    () => ask('POST', path`/projects/${project}/environments/${environment}/resume`),
    'Resume',
  );
}

export function approveDialog(promotion) {
  decide(promotion, 'approve', 'Approve');
}

export function rejectDialog(promotion) {
  decide(promotion, 'reject', 'Reject');
}

function decide({ id, release, environment }, verb, word) {
  const comment = el('input', { name: 'comment', maxlength: '500', autocomplete: 'off' });
  show(
    `${word} ${releaseName(release)} into ${environment}`,
    [el('p', {}, release.subject), el('label', {}, 'Comment', comment)],
    () => ask('POST', path`/promotions/${id}/${verb}`, comment.value === '' ? {} : { comment: comment.value }),
    word,
  );
}

export function cancelDialog({ id, release, environment }) {
  show(
    `Cancel ${releaseName(release)} into ${environment}`,
    el('p', {}, 'What runs there stays.'),
    () => ask('POST', path`/promotions/${id}/cancel`),
    'Cancel the promotion',
  );
}

export async function whyDialog(project, subject) {
  const answer = el('div', { role: 'status' }, 'Asking.');
  show(`Why: ${subject}`, answer);
  try {
    const why = await ask('GET', `${path`/projects/${project}/why`}?subject=${encodeURIComponent(subject)}`);
    const said = why.environments.flatMap(({ lines }) => lines);
    answer.replaceChildren(
      el('p', { class: 'verdict' }, why.headline),
      reasonList(why.reasons.filter(({ what }) => !said.some((line) => what.endsWith(line.what)))),
      ...why.environments.map((place) => whyPlace(project, place)),
      el(
        'ul',
        { class: 'soft' },
        why.story.map(({ at, what }) => el('li', {}, `${ago(at)}: ${what}`)),
      ),
    );
  } catch (problem) {
    answer.textContent = problem.message;
  }
}

/** One environment, each condition with what it rests upon. */
function whyPlace(project, { environment, verdict, headline, lines, unknown }) {
  const marks = { pass: 'holds', wait: 'waits', refuse: 'no' };
  const answer = ({ check, type, service, verdict: said, at, reusedFrom }) =>
    `${checkTitle(check, type)}${service === null ? '' : ` of ${service}`} ${said} ${ago(at)}${reusedFrom === null ? '' : `, reused from ${reusedFrom}`}`;
  const line = ({ gate, what, fix, until, evidence, verdict: mark }) =>
    el(
      'li',
      { class: `mark ${mark}` },
      `${marks[mark]} ${gate}: ${what}${until === null ? '' : ` (until ${until})`}`,
      evidence.map((one) => el('div', { class: 'soft', title: one.id }, answer(one), ' ', filesOf(project, one))),
      fix === null ? '' : el('div', {}, fix),
    );
  return el(
    'section',
    {},
    el('p', { class: `verdict ${verdict}` }, `${environment} ${headline}`),
    el('ul', {}, lines.map(line)),
    unknown.map((what) => el('p', { class: 'soft' }, what)),
  );
}

/** What the run of a check has left, read when somebody wants to see it. Pictures are shown; the rest may come from anybody, and is saved. */
function filesOf(project, { id, kept }) {
  if (kept === 0) return '';
  const list = el('ul', { class: 'files', hidden: true });
  const show = async () => {
    list.hidden = !list.hidden;
    if (list.childElementCount > 0) return;
    try {
      const { files } = await ask('GET', path`/projects/${project}/evidence/${id}`);
      list.replaceChildren(...files.map((file) => fileOf(project, id, file)));
    } catch (problem) {
      list.replaceChildren(el('li', {}, problem.message));
    }
  };
  return [button(`files ${id}`, `${kept} ${kept === 1 ? 'file' : 'files'}`, () => void show()), list];
}

function fileOf(project, id, { path: name, size, gone }) {
  if (gone) return el('li', {}, `${name}: gone`);
  const href = `/api/v1${path`/projects/${project}/evidence/${id}/file`}?path=${encodeURIComponent(name)}`;
  const isPicture = /\.(png|jpe?g|gif|webp|avif)$/i.test(name);
  return el(
    'li',
    {},
    el('a', { href, ...(isPicture ? { target: '_blank' } : { download: '' }) }, name),
    ` ${(size / 1000).toFixed(1)} kB`,
    isPicture ? el('img', { src: href, alt: name, loading: 'lazy' }) : '',
  );
}

/** What the policy says before anything is done: the same function answers that decides afterwards. */
async function preview(answer, target, question) {
  if (question.release === '') return;
  const current = Symbol('the newest question');
  answer.current = current;
  try {
    const { verdict, reasons, diff } = await ask('POST', target, question);
    if (answer.current !== current) return; // another release was chosen meanwhile
    const words = { go: 'It would go at once.', wait: 'It would wait.', refuse: 'It would be refused.' };
    answer.replaceChildren(
      el('p', { class: `verdict ${verdict}` }, words[verdict]),
      reasonList(reasons),
      el(
        'ul',
        {},
        diff.services.map(({ service, same }) =>
          el('li', {}, `${service}: ${same ? 'the same image' : 'another image'}`),
        ),
        diff.commits.map(({ sha, subject, author }) => el('li', {}, `+ ${sha.slice(0, 7)} ${subject} (${author})`)),
        diff.lost.map(({ sha, subject, author }) => el('li', {}, `- ${sha.slice(0, 7)} ${subject} (${author})`)),
      ),
    );
  } catch (problem) {
    if (answer.current === current) answer.replaceChildren(el('p', { class: 'verdict refuse' }, problem.message));
  }
}

function reasonList(reasons) {
  const text = ({ gate, what, fix, until }) =>
    `${gate}: ${what}${until === null ? '' : ` (until ${until})`}${fix === null ? '' : `${/[.!?]$/.test(what) && until === null ? '' : '.'} ${fix}`}`;
  return reasons.length === 0
    ? ''
    : el(
        'ul',
        {},
        reasons.map((reason) => el('li', {}, text(reason))),
      );
}
