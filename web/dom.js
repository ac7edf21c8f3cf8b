/**
 * Makes an element. Children that are strings become text, never markup: a commit's subject is written by anybody.
 * @param props attributes; `on` holds listeners, `false`, null and undefined leave an attribute out
 */
export function el(tag, props = {}, ...children) {
  const { on = {}, ...attributes } = props;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value !== undefined && value !== null)
      element.setAttribute(name, value === true ? '' : value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

export function button(key, text, press, props = {}) {
  return el('button', { type: 'button', 'data-key': key, ...props, on: { click: press } }, text);
}

/** Only what a browser fetches by HTTP is made a link. */
export function link(url, text) {
  return /^https?:\/\//.test(url)
    ? el('a', { href: url, rel: 'noreferrer', target: '_blank' }, text)
    : el('span', {}, text);
}

/** Draws anew without taking the focus away from who uses a keyboard. */
export function redraw(root, ...children) {
  const key = document.activeElement?.closest('[data-key]')?.dataset.key;
  root.replaceChildren(...children);
  if (key !== undefined) root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function ago(instant, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(instant)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
}

export function releaseName({ number, names, commit }) {
  return `#${number} ${names[0] ?? commit.slice(0, 7)}`;
}

/** With what sort of test it is, where its name does not say that. */
export function checkTitle(check, type) {
  return type === null || check === type || (check === 'e2e' && type === 'end-to-end') ? check : `${check} (${type})`;
}
