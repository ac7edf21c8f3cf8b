import { posix } from 'node:path';

import { parse } from 'yaml';

import type { Survey } from './survey.ts';

/** An image that a compose file has built from this repository. */
export interface ComposeBuild {
  /** As the file calls the service. */
  readonly name: string;
  /** The folder of its context. */
  readonly folder: string;
  /** The Dockerfile, from that folder. */
  readonly file: string;
  readonly port: number | null;
  /** What of it is not taken over. */
  readonly notes: readonly string[];
}

export interface Compose {
  readonly file: string | null;
  /** One for each Dockerfile with its context. */
  readonly builds: readonly ComposeBuild[];
  /** The names of those that are not built here. */
  readonly others: readonly string[];
}

const FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];

/** What a compose file says of a repository (https://github.com/compose-spec/compose-spec/blob/main/build.md). */
export function composeIn({ files, read }: Survey): Compose {
  const file = FILES.find((name) => files.includes(name)) ?? null;
  if (file === null) return { file, builds: [], others: [] };
  const builds = new Map<string, ComposeBuild>();
  const others: string[] = [];
  for (const [name, service] of Object.entries(record(record(yamlOf(read(file)))['services']))) {
    const { build, ports, expose } = record(service);
    const {
      context = '.',
      dockerfile = 'Dockerfile',
      target,
      args,
    } = typeof build === 'string' ? { context: build } : record(build);
    const folder = build === undefined ? null : within('.', context);
    const path = folder === null ? null : within(folder, dockerfile);
    if (folder === null || path === null || !files.includes(path)) {
      others.push(name);
      continue;
    }
    const same = builds.get(`${folder}\0${path}`);
    const notes = [
      ...(target === undefined
        ? []
        : [`${file} builds its stage ${JSON.stringify(target)}; here the last one is built, or give \`target\`.`]),
      ...(args === undefined
        ? []
        : [`${file} gives its build arguments; give \`args\` if what is released needs them.`]),
    ];
    builds.set(
      `${folder}\0${path}`,
      same === undefined
        ? { name, folder, file: posix.relative(folder, path), port: portOf(ports) ?? portOf(expose), notes }
        : {
            ...same,
            port: same.port ?? portOf(ports),
            notes: [...same.notes, `${file} runs the same image as ${name} too; here it runs once.`],
          },
    );
  }
  return { file, builds: [...builds.values()], others };
}

/** @returns a path of the repository, or null for what leads out of it, is an address or has a variable in it */
function within(folder: string, path: unknown): string | null {
  if (typeof path !== 'string' || /[$:]|^\//.test(path)) return null;
  const whole = posix.join(folder, path).replace(/(?<=.)\/+$/, '');
  return whole === '..' || whole.startsWith('../') ? null : whole;
}

/** The first port inside the container, of `8080:80/tcp`, `80` or `{ target: 80 }`. */
function portOf(ports: unknown): number | null {
  const first: unknown = Array.isArray(ports) ? ports[0] : undefined;
  const port = Number(/(\d+)(?:\/tcp)?$/.exec(String(record(first)['target'] ?? first))?.[1]);
  return port > 0 && port < 65_536 ? port : null;
}

function yamlOf(text: string | null): unknown {
  try {
    return parse(text ?? '', { logLevel: 'silent', maxAliasCount: 100 });
  } catch {
    return {};
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
