import { PREDICATES, type PredicateType } from './statement.ts';

/** What is stated, without the image that it is about. */
export interface Claim {
  readonly predicateType: PredicateType;
  readonly predicate: Readonly<Record<string, unknown>>;
}

/**
 * Our own fields in predicates of others, under an address as in-toto wants it. No text that a program printed is among
 * them: who may read the registry may not be who may read the logs.
 */
export const DETAILS = {
  check: 'https://towpath.dev/check/v1',
  decision: 'https://towpath.dev/promotion/v1',
} as const;

/** So many names of failed tests are stated; the count is whole. */
const MOST_NAMES = 100;
const LONGEST_NAME = 300;

export interface CheckClaim {
  readonly check: string;
  /** `error`: there was no answer, which takes back the one before. */
  readonly verdict: 'passed' | 'failed' | 'error';
  readonly question: string;
  readonly project: string;
  readonly service: string;
  /** Where it was asked; null where it was asked of the image alone. */
  readonly environment: string | null;
  readonly commit: string | null;
  readonly tests: { readonly passed: number; readonly failed: number; readonly skipped: number } | null;
  readonly failedTests: readonly string[];
  /** When what it rests upon counts no more; null where that has no end. */
  readonly until: Date | null;
  readonly at: Date;
}

/** in-toto test-result v0.1. Its configuration is the question: definition, tests, digests and environment in one hash. */
export function testClaim({ check, verdict, question, failedTests, until, at, ...details }: CheckClaim): Claim {
  return {
    predicateType: PREDICATES.test,
    predicate: {
      result: verdict === 'passed' ? 'PASSED' : 'FAILED',
      configuration: [{ name: check, digest: { sha256: question } }],
      failedTests: failedTests.slice(0, MOST_NAMES).map((name) => name.slice(0, LONGEST_NAME)),
      [DETAILS.check]: {
        check,
        question,
        verdict,
        until: until?.toISOString() ?? null,
        at: at.toISOString(),
        ...details,
      },
    },
  };
}

export interface BuildClaim {
  readonly builder: string;
  readonly repository: string;
  readonly commit: string;
  readonly project: string;
  readonly service: string;
  /** The artifact key, which is a hash of everything that went in. */
  readonly key: string;
  /** What outside base images were: reference -> digest. */
  readonly pins: Readonly<Record<string, string>>;
  /** Keys of the base services that it was built upon, by name. */
  readonly parents: Readonly<Record<string, string>>;
  readonly isolation: string | null;
  readonly log: string;
  readonly beganAt: Date;
  readonly at: Date;
}

/** SLSA provenance v1. */
export function buildClaim(build: BuildClaim): Claim {
  const bases = Object.entries(build.pins).map(([name, digest]) => ({
    name,
    uri: `oci://${name}`,
    digest: { sha256: digest.replace(/^sha256:/, '') },
  }));
  const parents = Object.entries(build.parents).map(([name, key]) => ({
    name,
    uri: `https://towpath.dev/artifact/${key}`,
    digest: { sha256: key },
  }));
  return {
    predicateType: PREDICATES.build,
    predicate: {
      buildDefinition: {
        buildType: `https://towpath.dev/build/${build.builder}/v1`,
        externalParameters: { repository: build.repository, project: build.project, service: build.service },
        internalParameters: { artifactKey: build.key, isolation: build.isolation },
        resolvedDependencies: [
          { uri: `git+${build.repository}`, digest: { gitCommit: build.commit } },
          ...bases,
          ...parents,
        ],
      },
      runDetails: {
        builder: { id: `https://towpath.dev/builder/${build.builder}` },
        metadata: {
          invocationId: build.log,
          startedOn: build.beganAt.toISOString(),
          finishedOn: build.at.toISOString(),
        },
      },
    },
  };
}

export interface DecisionClaim {
  readonly verdict: 'live' | 'refused';
  readonly kind: 'promotion' | 'rollback' | 'removal';
  readonly project: string;
  readonly environment: string;
  readonly promotion: string;
  readonly release: number;
  readonly commit: string;
  /** Of the release: these artifacts together. */
  readonly fingerprint: string;
  /** The commit whose path was asked; null when there is none. */
  readonly path: string | null;
  /** Names of the gates that held, or of those that refused. */
  readonly gates: readonly string[];
  readonly at: Date;
}

/** in-toto SVR v0.2: what held. A refusal asserts nothing, and says in our own field what refused. */
export function decisionClaim({ verdict, path, gates, at, ...details }: DecisionClaim): Claim {
  const property = (word: string): string => `TOWPATH_${word.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`;
  return {
    predicateType: PREDICATES.decision,
    predicate: {
      verifier: {
        id: 'https://towpath.dev/path/v1',
        policies: path === null ? [] : [{ name: 'towpath.yaml', digest: { gitCommit: path } }],
      },
      timeCreated: at.toISOString(),
      properties:
        verdict === 'live'
          ? [property(`live in ${details.environment}`), ...gates.map((gate) => property(`gate ${gate}`))]
          : [],
      [DETAILS.decision]: { verdict, gates, ...details },
    },
  };
}

export interface ApprovalClaim {
  readonly verdict: 'approved' | 'rejected';
  readonly by: string;
  readonly comment: string | null;
  /** What the release would run under, as a hash; null where that was not kept. */
  readonly circumstances: string | null;
  readonly project: string;
  readonly environment: string;
  readonly promotion: string;
  readonly release: number;
  readonly commit: string;
  readonly fingerprint: string;
  readonly at: Date;
}

export function approvalClaim({ at, ...approval }: ApprovalClaim): Claim {
  return { predicateType: PREDICATES.approval, predicate: { ...approval, at: at.toISOString() } };
}

export interface YankClaim {
  readonly state: 'yanked' | 'unyanked';
  readonly reason: string | null;
  readonly by: string;
  readonly project: string;
  readonly release: number;
  readonly commit: string;
  /** What is barred: these artifacts together, under whatever release. */
  readonly fingerprint: string;
  readonly at: Date;
}

export function yankClaim({ at, ...yank }: YankClaim): Claim {
  return { predicateType: PREDICATES.yank, predicate: { ...yank, at: at.toISOString() } };
}

/** @param bom CycloneDX, without `properties` of its own: there is the place of the statement among all */
export function packagesClaim(bom: Readonly<Record<string, unknown>>): Claim {
  return { predicateType: PREDICATES.packages, predicate: bom };
}

export interface PolicyClaim {
  readonly environment: string;
  readonly promotion: string;
  /** As `path` writes and reads them. */
  readonly terms: object;
  readonly at: Date;
}

/** What an environment asks of the image, without any answer: the answers are statements of their own. */
export function policyClaim({ at, ...policy }: PolicyClaim): Claim {
  return { predicateType: PREDICATES.policy, predicate: { ...policy, at: at.toISOString() } };
}
