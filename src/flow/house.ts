import type { Logger } from 'pino';

import type { IssuerKeys } from '../access/oidc/issuer-keys.ts';
import type { Builder } from '../artifact/builder.ts';
import type { BlobPlace } from '../artifact/image-store.ts';
import type { KeyHolder } from '../attestation/signer.ts';
import type { Advisories } from '../check/advisory.ts';
import type { CheckTools } from '../check/kind.ts';
import type { Servers } from '../check/server.ts';
import type { Families } from '../config/config.ts';
import type { DeployDriver } from '../deploy/driver.ts';
import type { Mirror } from '../git/mirror.ts';
import type { Remote } from '../git/remote.ts';
import type { Clock } from '../lib/clock.ts';
import type { Digest } from '../lib/digest.ts';
import type { Means } from '../notify/messenger.ts';
import type { RegistryContent } from '../registry/content.ts';
import type { Registry } from '../registry/registry.ts';
import type { RepositoryAccess } from '../source/access-store.ts';
import type { HostAccess } from '../source/host-access.ts';
import type { Store } from '../store/database.ts';
import type { Starts } from './starts.ts';

/** Everything that the workflows work with. `main.ts` puts it together once; tests put other parts in. */
export interface House {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: HouseSettings;
  /** What the configuration is read with: the schemas of the plug-ins below. */
  readonly families: Families;
  readonly builders: ReadonlyMap<string, Builder>;
  readonly drivers: ReadonlyMap<string, DeployDriver>;
  /** What the images of a repository are asked with: a runner of programs, scratch space, servers that the project names. */
  readonly checkToolsFor: (repository: string, servers: Servers) => Promise<CheckTools>;
  /** What this server knows of vulnerabilities. */
  readonly advisories: Advisories;
  /** Where our artifacts rest. */
  readonly registry: Registry;
  /** Where zips rest, when not there. */
  readonly bucket: BlobPlace | null;
  /** What it holds, and how that is swept. */
  readonly content: RegistryContent;
  /** The digest that an outside base image means today; null when there is none. */
  readonly resolveBase: (reference: string) => Promise<Digest | null>;
  /** Any registry, ours too, by its host as it stands in references. */
  readonly registryAt: (host: string) => Registry;
  readonly mirrorOf: (repositoryId: string) => Promise<Mirror>;
  readonly mirrorDirectory: (repositoryId: string) => string;
  /** How a repository is reached: what is allowed here, and with which credential (a reference, asked for at each use). */
  readonly remoteOf: (url: string, access: () => Promise<Pick<RepositoryAccess, 'credential' | 'host'>>) => Remote;
  /** The API of a repository's host, and what git is given for it. */
  readonly hosts: HostAccess;
  /** Follows a reference to a secret, at the moment of use. */
  readonly secretOf: (reference: string) => Promise<string>;
  /** Where the keys are that sign statements. */
  readonly keys: KeyHolder;
  /** How people are told: fenced calls to what `towpath.yaml` names, and the mail server of the installation. */
  readonly outgoing: Pick<Means, 'agentFor' | 'mail'>;
  /** Of issuers of identity tokens. */
  readonly issuerKeys: IssuerKeys;
  readonly starts: Starts;
}

export interface HouseSettings {
  /** `linux/amd64` or `linux/arm64`: what is built here. */
  readonly platform: string;
  /** The first port for stable addresses of services. */
  readonly firstPort: number;
  /** Under which address people open the page of this installation. */
  readonly page: string;
  /** How long an artifact stays that nothing needs. */
  readonly artifactDays: number;
}
