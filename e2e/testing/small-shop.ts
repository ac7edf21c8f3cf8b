/** The smallest project that shows a thing: services without packages, a path from previews to production. */
export interface SmallShop {
  readonly project: string;
  /** Default: `web` alone. */
  readonly services?: readonly string[];
  /** More lines of each service, YAML. */
  readonly service?: readonly string[];
  /** The `node` builder's own settings, YAML. Default: `{ start: main.js }`. */
  readonly node?: string;
}

/** @returns files by path: `towpath.yaml` and a program of one file for each service */
export function smallShop({
  project,
  services = ['web'],
  service = [],
  node = '{ start: main.js }',
}: SmallShop): Record<string, string> {
  const config = [
    `project: ${project}`,
    'services:',
    ...services.flatMap((name) =>
      [
        `${name}:`,
        `  path: services/${name}`,
        `  build: { node: ${node} }`,
        '  port: 3000',
        '  health: /healthz',
        ...service.map((line) => `  ${line}`),
      ].map((line) => `  ${line}`),
    ),
    'environments:',
    "  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 14d }, accepts: any, deploy: process }",
    '  qa: { on: { merge: main }, deploy: process }',
    "  prod: { on: { tag: 'v*' }, from: qa, deploy: process }",
  ];
  return {
    'towpath.yaml': `${config.join('\n')}\n`,
    ...Object.fromEntries(services.map((name) => [`services/${name}/main.js`, program(`${name} says hello`)])),
  };
}

/** A server that says one thing, and ends when it is asked to: as the first process of its image nothing does that for it. */
export function program(says: string): string {
  return [
    "process.once('SIGTERM', () => process.exit());",
    `require('node:http').createServer((_, response) => response.end(${JSON.stringify(says)})).listen(process.env.PORT);`,
    '',
  ].join('\n');
}
