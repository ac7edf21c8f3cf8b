import type { HostApi } from '../../../source/host-access.ts';

/** A pull (merge) request, as its host tells of it. */
export interface OpenedRequest {
  readonly number: number;
  readonly url: string;
  readonly state: 'open' | 'merged' | 'closed';
  /** Of a host that wants to hear which one is meant to be changed. */
  readonly version?: number;
}

/** Between which branches of one repository. */
export interface Between {
  /** Where the change is. */
  readonly head: string;
  readonly target: string;
  /** The repository at its host, `team/manifests`. */
  readonly path: string;
}

export interface RequestText {
  readonly title: string;
  /** Markdown. */
  readonly body: string;
}

/** One question to a host, with how its answer is read. */
export interface Ask<T> extends Omit<Parameters<HostApi['call']>[0], 'signal'> {
  /** @throws ZodError for what the host should not answer */
  readonly read: (answer: unknown) => T;
}

export interface FoundRequests {
  readonly requests: readonly OpenedRequest[];
  /** Whether others may be on the next page. */
  readonly more: boolean;
}

/** How the requests of one kind of host are spoken of. Pure: others send what it asks. */
export interface RequestForm {
  /** Of the git host in `source/`. */
  readonly host: string;
  /** As people there call one. */
  readonly called: 'pull request' | 'merge request';
  /** The least that the token has to be allowed. */
  readonly permission: string;
  /** Those between two branches, open or not. @param page from 1, for hosts that list all and leave the choice to us */
  find(between: Between, page: number): Ask<FoundRequests>;
  open(between: Between, text: RequestText): Ask<OpenedRequest>;
  look(number: number): Ask<OpenedRequest>;
  /** Without a merge. */
  close(request: OpenedRequest): Ask<unknown>;
}

/** Of a host that finds them itself. */
export function all(requests: readonly OpenedRequest[]): FoundRequests {
  return { requests, more: false };
}
