/** A refusal or failure as the server words it: `code`, `what`, `fix`. */
export class ApiProblem extends Error {
  constructor({ code, what, fix }) {
    super(`${what} ${fix}`);
    this.code = code;
    this.what = what;
    this.fix = fix;
  }
}

/** Asks the API by the session cookie. Parameters go through `encodeURIComponent`: a branch name is data. */
export async function ask(method, path, body) {
  const write = method !== 'GET';
  const response = await fetch(`/api/v1${path}`, {
    method,
    headers: write ? { 'content-type': 'application/json', 'idempotency-key': randomKey() } : {},
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new ApiProblem(answer ?? { code: 'page.answer', what: 'The server did not answer.', fix: 'Try again.' });
}

export function path(strings, ...names) {
  return String.raw({ raw: strings }, ...names.map((name) => encodeURIComponent(name)));
}

/** `crypto.randomUUID` is missing where a page is served by plain HTTP under a name. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Calls `changed` at every change the server tells of, and after each reconnect, for something may have been missed.
 * @returns a function that ends it
 */
export function follow(changed, said) {
  let source;
  let timer;
  const open = () => {
    source = new EventSource('/api/v1/events');
    source.addEventListener('open', () => {
      said('live');
      changed();
    });
    source.addEventListener('change', () => changed());
    source.addEventListener('end', () => said('reconnecting'));
    source.addEventListener('error', () => {
      said('reconnecting');
      // a browser asks again by itself where nobody answers, and never after an answer such as 502 or 503
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, ASK_AGAIN_MS);
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

const ASK_AGAIN_MS = 3000;
