import type { z } from 'zod';

import type { ImageSource } from '../container/rootfs/image.ts';
import type { ImageOnMachine, Limits, TaskRunner } from '../container/runtime.ts';
import type { ChangedLines } from '../git/changed-lines.ts';
import type { SourceTree, TreeEntry } from '../git/tree.ts';
import type { Clock } from '../lib/clock.ts';
import type { Digest } from '../lib/digest.ts';
import type { LogLine } from '../lib/log.ts';
import type { Advisories } from './advisory.ts';
import type { PinnedPart } from './backing.ts';
import type { CheckFamily, Comparison } from './check.ts';
import type { FileKeeper, KeptFiles } from './kept-files.ts';
import type { EcrAccess } from './kinds/scan/ecr/place.ts';
import type { ChangedCoverage } from './report/changed.ts';
import type { Measures } from './report/measures.ts';
import type { Pact } from './report/pact.ts';
import type { LineCounts, TestCounts } from './report/report.ts';
import type { Findings } from './report/sarif.ts';
import type { OutsideBroker, OutsideServer } from './server.ts';

/** `error`: the question could not be answered (no report, out of time). Only `passed` is green. */
export type CheckVerdict = 'passed' | 'failed' | 'error';

/** What was found out; plain JSON, kept as evidence. */
export interface CheckAnswer {
  readonly verdict: CheckVerdict;
  /** One line for people. No secret and no argument list. */
  readonly summary: string;
  readonly tests?: TestCounts;
  /** Lines of the source, of those that can run. */
  readonly coverage?: LineCounts;
  readonly changed?: ChangedCoverage;
  readonly findings?: Findings;
  readonly performance?: Performance;
  /** Files that it left for people to see; no part of the answer. */
  readonly kept?: KeptFiles;
  readonly scan?: ScanFacts;
  /** What it wrote down of what the service expects of others. */
  readonly pacts?: readonly WrittenPact[];
  /** The pact that was verified. */
  readonly contract?: Contract;
  /** Tries before this one that did not pass, first to last; a pass after any of them is flaky. */
  readonly earlier?: readonly { readonly verdict: Exclude<CheckVerdict, 'passed'>; readonly summary: string }[];
  /** Where it ran; `isolates: false` says that the answer rests on the machine as well as on the image. */
  readonly ran?: {
    readonly runner: TaskRunner['name'];
    readonly isolates: boolean;
    /** Limits of the check that this machine could not hold it to. */
    readonly notHeld?: readonly (keyof Limits)[] | undefined;
  };
}

/** What a scan for vulnerabilities looked at; what it found are findings. */
export interface ScanFacts {
  /** `stale-db`, `no-data`: nothing was found, and that proves nothing. */
  readonly state: 'pass' | 'fail' | 'stale-db' | 'no-data' | 'error';
  /** With its version. */
  readonly scanner: string;
  readonly packages: number;
  /** What it looked into, and as of which day that speaks. */
  readonly database: { readonly digest: string; readonly newestMs: number; readonly at: string } | null;
  /** Of a pass: when what it rests upon is too old, or allowed no more. */
  readonly untilMs?: number | undefined;
  /** Of a scanner that looks into something else than the advisories of this server: when it is asked again. */
  readonly againMs?: number | undefined;
}

/** What a load test measured. */
export interface Performance {
  readonly measures: Measures;
  /** What was done to measure it: only the same load can be compared. */
  readonly load: string;
}

export interface WrittenPact {
  /** The service of whom it is expected. */
  readonly provider: string;
  /** Of the pact, which is kept. */
  readonly digest: string;
  readonly interactions: number;
}

export interface Contract {
  /** The service that expects it. */
  readonly consumer: string;
  readonly digest: string;
  /** The first interactions that it does not keep to, each with what is wrong. */
  readonly broken: readonly { readonly interaction: string; readonly why: string }[];
}

/** What was measured of the artifact that a question compares with. */
export interface Baseline {
  readonly environment: string;
  readonly measures: Measures;
}

/** One question about one service, with all that may be looked at to answer it. */
export interface CheckRequest<Definition> {
  readonly definition: Definition;
  /** The check's name in towpath.yaml. */
  readonly check: string;
  readonly service: string;
  readonly digest: Digest;
  /** Of the service; other commits may have the same digest. */
  readonly commit: string;
  /** The service's files at the commit under test, also those that the build left out. */
  readonly source: SourceTree;
  /** The lines that changed, relative to the service; there for a definition that compares them. */
  readonly changed?: () => Promise<ChangedLines>;
  /** A file of the default branch's head, for a definition that is ruled by some; null where there is none. */
  readonly ruling?: (path: string) => Promise<Buffer | null>;
  /** What runs beside it while it is asked. */
  readonly parts: readonly PinnedPart[];
  /** What the same load measured of the artifact that is compared with; there for a definition that has a baseline. */
  readonly baseline?: (load: string) => Promise<Baseline | null>;
  /** Where files go that are kept; there for a check that keeps any. */
  readonly keeper?: FileKeeper;
  /** For a definition that writes pacts: keeps one for good. */
  readonly keepPact?: (pact: Pact) => Promise<void>;
  /** For a kind that verifies pacts: this one, of this consumer. */
  readonly pact?: { readonly consumer: string; readonly digest: string; readonly text: () => Promise<string> };
  /** Where each service answers, for a question that is asked of a deployment. */
  readonly urls: Readonly<Record<string, string>>;
  /** Safe as the name of a container, unique among what runs on this machine. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

/** What an installation gives its checks. */
export interface CheckTools {
  readonly runner: TaskRunner;
  /** Makes the image startable on this machine. */
  readonly image: (service: string, digest: Digest, signal: AbortSignal) => Promise<ImageOnMachine>;
  /** Where temporary folders may lie. */
  readonly directory: string;
  /** The project's own; null where it names none. */
  readonly sonar: OutsideServer | null;
  /** A Pact Broker, the same. */
  readonly broker?: OutsideBroker | null;
  /** There where the content of images can be read. */
  readonly scanning?: ScanTools;
}

/** What a scan for vulnerabilities works with. */
export interface ScanTools {
  /** Where the layers of an artifact lie; of functions those of the image that they run in. */
  readonly imageOf: (
    digest: Digest,
    signal: AbortSignal,
  ) => Promise<{
    readonly source: ImageSource;
    readonly repository: string;
    readonly image: Digest;
    readonly platform: string;
  }>;
  readonly advisories: Advisories;
  /** Where the program osv-scanner is; on the path by default. */
  readonly osvScanner?: string | undefined;
  /** The registry of this installation; null where it is not one of Amazon ECR. */
  readonly ecr: EcrAccess | null;
  readonly clock: Clock;
}

/**
 * A kind of check. `ask` returns whatever the answer is; it throws where Towpath itself failed, and asking again is
 * then right. It is safe to ask twice, leaves nothing behind on this machine, and never changes the image.
 */
export interface CheckKind<Definition = unknown> extends CheckFamily {
  /** Goes into the question: raise it when the same program would be asked otherwise than before. */
  readonly version: string;
  /** The files of the source that belong to the question: the tests. */
  inputs(definition: Definition, source: SourceTree): readonly TreeEntry[];
  /** What it keeps for people by itself, beside what a definition may name. */
  readonly leaves?: readonly string[];
  /** Files of the repository that rule the answer as the default branch has them, whatever the commit says. */
  ruledBy?(definition: Definition): readonly string[];
  ask(request: CheckRequest<Definition>, tools: CheckTools): Promise<CheckAnswer>;
}

/** Ties a kind to the type of its own fields, which the configuration has parsed; outside of it that type is not known. */
export function checkKind<Fields extends z.ZodRawShape>(
  kind: Omit<CheckKind<z.output<z.ZodObject<Fields>>>, 'fields' | 'compares' | 'contracts'> & {
    readonly fields: Fields;
    readonly compares?: (definition: z.output<z.ZodObject<Fields>>) => Comparison;
    readonly contracts?: (definition: z.output<z.ZodObject<Fields>>) => 'writes' | 'verifies' | null;
  },
): CheckKind {
  type Definition = z.output<z.ZodObject<Fields>>;
  const { compares, contracts, ruledBy, ...rest } = kind;
  return {
    ...rest,
    ...(compares === undefined ? {} : { compares: (definition) => compares(definition as Definition) }),
    ...(contracts === undefined ? {} : { contracts: (definition) => contracts(definition as Definition) }),
    ...(ruledBy === undefined ? {} : { ruledBy: (definition) => ruledBy(definition as Definition) }),
    inputs: (definition, source) => kind.inputs(definition as Definition, source),
    ask: (request, tools) => kind.ask(request as CheckRequest<Definition>, tools),
  };
}
