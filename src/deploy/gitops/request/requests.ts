import { z } from 'zod';

import type { HostAccess, HostApi } from '../../../source/host-access.ts';
import { hostOf } from '../../../source/hosts.ts';
import { placeOf } from '../../../source/repository-place.ts';
import { webUrlOf } from '../../../source/web-url.ts';
import { GitopsError } from '../gitops-error.ts';
import type { ManifestRepository } from '../write-request.ts';
import type { Ask, OpenedRequest, RequestForm, RequestText } from './request-form.ts';
import { requestForms } from './request-forms.ts';

/** The pull (merge) requests of one repository. Its methods throw HostError, and GitopsError `gitops.request-answer`. */
export interface Requests {
  /** As people call one there: `pull request`. */
  readonly called: RequestForm['called'];
  /** The newest between two branches, an open one before all others. */
  find(between: Branches, signal: AbortSignal): Promise<OpenedRequest | null>;
  open(between: Branches, text: RequestText, signal: AbortSignal): Promise<OpenedRequest>;
  look(number: number, signal: AbortSignal): Promise<OpenedRequest>;
  close(request: OpenedRequest, signal: AbortSignal): Promise<void>;
}

interface Branches {
  readonly head: string;
  readonly target: string;
}

/** Of a host that lists all of them: so many pages, the newest first, and no more. */
const MOST_PAGES = 20;

/**
 * @param credential of the request; without one, that of the repository, if it is a token
 * @throws GitopsError `gitops.no-requests`, `gitops.no-token`
 */
export function requestsAt(
  hosts: Pick<HostAccess, 'api'>,
  repository: ManifestRepository,
  credential: string | null,
): Requests {
  if (repository.url.startsWith('/')) throw noRequests(repository); // a folder of this machine
  const url = webUrlOf(repository.url);
  const host = hostOf(url, repository.host);
  const form = requestForms.find((one) => one.host === host.name);
  const place = form === undefined ? null : placeOf(url);
  const isKey = !/^https?:/.test(repository.url) && repository.credential?.startsWith('github-app:') !== true;
  const token = credential ?? (isKey ? null : repository.credential);
  const api = form === undefined ? null : hosts.api({ url, host: host.name }, token);
  if (form === undefined || place === null || api === null) throw noRequests(repository);
  if (token === null) throw noToken(repository, form);
  const { path } = place;
  const find: Requests['find'] = async (between, signal) => {
    for (let page = 1; page <= MOST_PAGES; page++) {
      const { requests, more } = await send(api, form, form.find({ ...between, path }, page), signal);
      const newest = requests.toSorted((one, other) => other.number - one.number);
      const found = newest.find(({ state }) => state === 'open') ?? newest[0];
      if (found !== undefined) return found;
      if (!more) break;
    }
    return null;
  };
  return {
    called: form.called,
    find,
    open: (between, text, signal) => send(api, form, form.open({ ...between, path }, text), signal),
    look: (number, signal) => send(api, form, form.look(number), signal),
    close: async (request, signal) => {
      const now = await send(api, form, form.look(request.number), signal);
      if (now.state === 'open') await send(api, form, form.close(now), signal);
    },
  };
}

async function send<T>(api: HostApi, form: RequestForm, { read, ...request }: Ask<T>, signal: AbortSignal): Promise<T> {
  const { body } = await api.call({ ...request, signal });
  try {
    return read(body);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new GitopsError({
      code: 'gitops.request-answer',
      what: `The host answered what is no ${form.called} as Towpath knows it: ${z.prettifyError(error).slice(0, 300)}.`,
      fix: 'Check `host` of the environment in towpath.yaml; the guide on manifest repositories says what Towpath asks.',
    });
  }
}

function noRequests({ url }: ManifestRepository): GitopsError {
  return new GitopsError({
    code: 'gitops.no-requests',
    what: `Towpath knows no way to open a pull request at the server of ${url}.`,
    fix: `Say what kind of server it is: \`host:\` with one of ${requestForms.map(({ host }) => host).join(', ')}; or take \`request\` out.`,
  });
}

function noToken({ url }: ManifestRepository, { permission, called }: RequestForm): GitopsError {
  return new GitopsError({
    code: 'gitops.no-token',
    what: `There is no token with which a ${called} could be opened for ${url}.`,
    fix: `Name one below \`request: { credential: env:NAME }\`: ${permission}.`,
  });
}
