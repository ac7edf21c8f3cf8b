import type { Starter } from './starter.ts';
import type { StarterBuild } from './survey.ts';

/** The file as git has it, with its comments: what is in force and what is usual next. */
export function writeStarter({ project, branch, previews, tags, driver, services }: Starter): string {
  const blocks = services.flatMap(({ name, path, build, port, health, test }) => [
    `  ${name}:${build.kind === 'dockerfile' && build.isBase ? ' # an image that others build upon; it runs nowhere itself' : ''}`,
    `    path: ${word(path)}`,
    `    ${section(build)}`,
    ...(port === null ? [] : [`    port: ${port}`]),
    ...(health === null ? [] : [`    health: ${word(health)}`]),
    ...(test === null
      ? []
      : [
          '    checks:',
          `      unit: { run: ${command(test.run)}${test.mount === undefined ? '' : `, mount: ${list([test.mount])}`}, during: build }`,
        ]),
  ]);
  const hasChecks = services.some(({ test }) => test !== null);
  return [
    `project: ${project}`,
    'services:                     # each is built on its own, and anew only when its folder changes',
    ...blocks,
    'environments:                 # in the order of the path',
    `  preview: { on: { branch: ${JSON.stringify(previews)} }, ephemeral: { ttl: 14d }, deploy: ${driver} }`,
    `  qa:      { on: { merge: ${word(branch)} }, deploy: ${driver} }`,
    `  prod:    { on: { tag: ${JSON.stringify(tags)} }, from: qa, deploy: ${driver} }`,
    '# What is usual next: take the hash away and put it into the environment that it speaks of.',
    `#   qa:   gates: [unchanged${hasChecks ? ', unit' : ''}]          # only the very images that a branch was tested with`,
    '#   prod: gates: [{ soak: 1h }]         # it ran in qa for so long',
    '#   prod: gates: [{ approvals: { of: release-managers, count: 1 } }]',
    '# roles: { release-managers: [ana] }    # beside `services`: who may approve',
    '',
  ].join('\n');
}

function section(build: StarterBuild): string {
  switch (build.kind) {
    case 'node': {
      const { start, include, exclude } = build;
      const more = [
        ...(include.length === 0 ? [] : [`include: ${list(include)}`]),
        ...(exclude.length === 0 ? [] : [`exclude: ${list(exclude)}`]),
      ];
      return `build: { node: { ${[`start: ${command(start)}`, ...more].join(', ')} } }`;
    }
    case 'dockerfile': {
      const parts = [
        ...(build.file === 'Dockerfile' ? [] : [`file: ${word(build.file)}`]),
        ...(build.from.length === 0 ? [] : [`from: ${list(build.from)}`]),
      ];
      return `${build.isBase ? 'base' : 'build'}: { dockerfile: ${parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`} }`;
    }
    case 'serverless':
      return `build: { serverless: ${build.exclude.length === 0 ? '{}' : `{ exclude: ${list(build.exclude)} }`} }`;
    default:
      return build satisfies never;
  }
}

function list(words: readonly string[]): string {
  return `[${words.map(word).join(', ')}]`;
}

function command(words: string | readonly string[]): string {
  return typeof words === 'string' ? word(words) : list(words);
}

/** JSON is YAML: what is more than a plain word is written as a string of it. */
function word(text: string): string {
  return /^[A-Za-z_/][A-Za-z0-9_./-]*$/.test(text) && !/^(?:true|false|null|y|n|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}
