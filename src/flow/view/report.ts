import type { Identity } from '../../access/identity.ts';
import type { Digest } from '../../lib/digest.ts';
import type { ProblemView } from './project.ts';

/** What another CI says that it built. */
export interface ReportView {
  readonly id: string;
  readonly project: string;
  readonly service: string;
  readonly commit: string;
  readonly digest: Digest;
  readonly image: string | null;
  /** `waiting` for its commit to be seen; `checking` it and bringing it here. */
  readonly state: 'waiting' | 'checking' | 'accepted' | 'refused';
  readonly by: string;
  /** Of a CI that showed an identity token: which job of it that was. */
  readonly identity: Identity | null;
  readonly at: string;
  readonly endedAt: string | null;
  /** Until when its commit is waited for, while it is. */
  readonly until: string | null;
  /** The key of the artifact that it was accepted for. */
  readonly key: string | null;
  /** Why it was refused. */
  readonly problem: ProblemView | null;
}
