import { parse } from 'yaml';

import type { KnownProject } from '../../deploy/gitops/import/match-services.ts';
import { CONFIG_FILE } from '../config-file.ts';
import { type Families, parseConfig, type ProjectConfig } from '../config.ts';
import { parseConfigDocument } from '../document.ts';

/** A towpath.yaml that is there. */
export interface ConfigText {
  readonly source: Uint8Array;
  readonly file: string;
}

/** What of a project is asked for in manifests: services that have images of their own. */
export function knownProjectOf({ project, services, path }: ProjectConfig): KnownProject {
  const images = Object.entries(services).filter(([, { kind }]) => kind === 'image');
  return { project, services: images.map(([name]) => name), environments: path };
}

/**
 * Reads a proposal as the server will: alone, or put into the towpath.yaml that is there, where each environment that it
 * names gets its `deploy`.
 * @throws ConfigError
 */
export function checkProposal(text: string, into: ConfigText | null, families: Families): void {
  if (into === null) return void parseConfig(text, families, CONFIG_FILE);
  const before = parseConfigDocument(into.source, into.file).value as { readonly environments?: Environments };
  const { environments } = parse(text) as { readonly environments: Environments };
  const merged = { ...before.environments };
  for (const [name, environment] of Object.entries(environments))
    merged[name] = { ...environment, ...merged[name], deploy: environment.deploy };
  parseConfig(JSON.stringify({ ...before, environments: merged }), families, into.file);
}

type Environments = Readonly<Record<string, { readonly deploy: unknown }>>;
