import { buildOrder } from '../artifact/build-order.ts';
import type { CheckDefinition } from '../check/check.ts';
import { checks as kinds, contractsOf } from '../check/checks.ts';
import { GATE_WORDS } from '../path/gate.ts';
import { placeholdersOf } from '../environment/variables.ts';
import { nearestWord } from '../lib/nearest.ts';
import type { ProjectConfig } from './config.ts';
import { isKnown } from '../notify/addresses.ts';
import type { EmailSettings } from '../notify/messengers/email/email.ts';
import type { Finding } from './issues.ts';

/**
 * Names that point to nothing: a check, a role or an environment that the file does not have; a driver that cannot do what is asked.
 * @param jobDrivers drivers that run migrations
 */
export function findDanglingNames(config: ProjectConfig, jobDrivers: readonly string[]): Finding[] {
  const checks = checksOf(config);
  const contracts = namesWhere(config, (check) => contractsOf(check) === 'verifies');
  const ofNow = namesWhere(config, ({ kind }) => kinds.some(({ name, isOfNow }) => name === kind && isOfNow === true));
  const environments = config.path;
  const roles = Object.keys(config.roles);
  return [
    ...findReservedChecks(config),
    ...findChecksElsewhere(config),
    ...findBases(config),
    ...findParts(config),
    ...findBaselines(config),
    ...findChannels(config),
    ...findMigrations(config, jobDrivers),
    ...Object.entries(config.environments).flatMap(([name, environment], index) => {
      const path = ['environments', name];
      const before = environments.slice(0, index);
      return [
        ...environment.from.flatMap((from, at) => {
          const where = [...path, 'from', at];
          if (before.includes(from)) return [];
          const order = environments.includes(from) ? 'stands not before it' : 'there is none of this name';
          return [dangling(where, `environment "${from}": ${order}`, 'environment that stands before', before, from)];
        }),
        ...environment.gates.flatMap((gate, at) => {
          const where = [...path, 'gates', at];
          if (gate.kind === 'approvals' && typeof gate.of === 'string' && !roles.includes(gate.of))
            return [dangling([...where, 'approvals', 'of'], `there is no role "${gate.of}"`, 'role', roles, gate.of)];
          if (gate.kind === 'approvals' && gate.count > usersOf(config, gate.of))
            return [plain([...where, 'approvals', 'count'], tooFew(config, gate.of), 'at most that many approvals')];
          if (gate.kind === 'soak' && environment.from.length === 0)
            return [plain(where, 'a soak without an environment before', '`from` beside it')];
          if (gate.kind !== 'check') return [];
          const asked = checks.get(gate.name);
          const named = gate.freshMs === undefined ? where : [...where, 'check'];
          const known = [
            ...GATE_WORDS,
            ...[...checks].filter(([, during]) => !during.every(isLate)).map(([name]) => name),
          ];
          if (asked === undefined)
            return [dangling(named, `there is no gate or check "${gate.name}"`, 'gate or check', known, gate.name)];
          // asked once for each pact: no gate can name one answer
          if (contracts.has(gate.name))
            return [
              plain(named, `check "${gate.name}" verifies pacts, which are those of an environment`, '`can-i-deploy`'),
            ];
          if (ofNow.has(gate.name) && gate.freshMs === undefined)
            return [
              plain(
                named,
                `check "${gate.name}" is about what runs now`,
                `how old its answer may be: \`{ check: ${gate.name}, fresh: 5m }\``,
              ),
            ];
          if (!asked.every(isLate)) return [];
          return [plain(named, `check "${gate.name}" is asked only after a deployment`, 'it under `verify`')];
        }),
        ...environment.verify.flatMap((check, at) => {
          const where = [...path, 'verify', at];
          const asked = checks.get(check);
          const known = [...checks].filter(([, during]) => during.some(isLate)).map(([name]) => name);
          if (asked === undefined) return [dangling(where, `there is no check "${check}"`, 'check', known, check)];
          if (asked.some(isLate)) return [];
          return [plain(where, `check "${check}" is not asked of a deployment`, '`during: deployment` in that check')];
        }),
        ...(environment.mocks ?? []).flatMap((name, at) => {
          const known = Object.keys(config.backing).filter((part) => config.backing[part]?.mock !== undefined);
          const where = [...path, 'mocks', at];
          if (known.includes(name)) return [];
          if (!Object.hasOwn(config.backing, name))
            return [dangling(where, `there is no backing part "${name}"`, 'backing part with a mock', known, name)];
          return [plain(where, `"${name}" has no mock`, `\`mock\` under \`backing\` in "${name}"`)];
        }),
        ...Object.entries(environment.config).flatMap(([key, value]) =>
          placeholdersOf(value).flatMap((placeholder) =>
            placeholder.name.startsWith('branch.') && environment.on.kind !== 'branch'
              ? [
                  plain(
                    [...path, 'config', key],
                    `\${${placeholder.name}} has no value here`,
                    '`on: { branch: ... }` beside it',
                  ),
                ]
              : [],
          ),
        ),
      ];
    }),
  ];
}

/** Where nothing runs it, a new version would meet a database that it does not know. */
function findMigrations({ services, environments }: ProjectConfig, jobDrivers: readonly string[]): Finding[] {
  const migrating = Object.keys(services).find((name) => services[name]?.migrate !== undefined);
  if (migrating === undefined) return [];
  return Object.entries(environments).flatMap(([name, { deploy }]) =>
    jobDrivers.includes(deploy.driver)
      ? []
      : [
          plain(
            ['environments', name, 'deploy'],
            `the ${deploy.driver} driver runs no migrations, and "${migrating}" has one`,
            `a driver that does: ${jobDrivers.join(', ')}`,
          ),
        ],
  );
}

function findReservedChecks(config: ProjectConfig): Finding[] {
  return Object.entries(config.services).flatMap(([service, { checks }]) =>
    GATE_WORDS.filter((word) => Object.hasOwn(checks, word)).map((word) => ({
      ...plain(['services', service, 'checks', word], `"${word}" is a gate of its own`, 'another name'),
      at: 'key',
    })),
  );
}

function findParts({ services, backing }: ProjectConfig): Finding[] {
  const known = Object.keys(backing);
  return Object.entries(services).flatMap(([service, { checks }]) =>
    Object.entries(checks).flatMap(([check, { with: names }]) =>
      names.flatMap((name, at) =>
        known.includes(name)
          ? []
          : [
              dangling(
                ['services', service, 'checks', check, 'with', at],
                `there is no backing part "${name}"`,
                'backing part',
                known,
                name,
              ),
            ],
      ),
    ),
  );
}

/** Nothing of ours is there while another CI builds. */
function findChecksElsewhere({ services }: ProjectConfig): Finding[] {
  return Object.entries(services).flatMap(([service, { elsewhere, checks }]) =>
    Object.entries(checks)
      .filter(([, { during }]) => elsewhere === true && during === 'build')
      .map(([check]) =>
        plain(
          ['services', service, 'checks', check, 'during'],
          `check "${check}" is asked during a build that another CI makes`,
          '`during: release`, which asks it of the artifact that was reported',
        ),
      ),
  );
}

/** A member's file has no environments: it names those of its home. */
function findBaselines({ services, path: environments }: ProjectConfig): Finding[] {
  if (environments.length === 0) return [];
  return Object.entries(services).flatMap(([service, { checks }]) =>
    Object.entries(checks).flatMap(([name, { kind, definition }]) => {
      const baseline = kinds.find((one) => one.name === kind)?.compares?.(definition).baseline ?? null;
      if (baseline === null || environments.includes(baseline)) return [];
      const what = `check "${name}" is measured against environment "${baseline}": there is none of this name`;
      return [dangling(['services', service, 'checks', name], what, 'environment', environments, baseline)];
    }),
  );
}

/** Whom and what a channel names. */
function findChannels(config: ProjectConfig): Finding[] {
  return Object.entries(config.notify).flatMap(([name, { kind, settings, environments }]) => {
    const path = ['notify', name];
    const { to = [] } = kind === 'email' ? (settings as EmailSettings) : {};
    const known = ['authors', 'approvers', ...Object.keys(config.roles), ...Object.keys(config.users)];
    return [
      ...(environments ?? []).flatMap((environment, at) =>
        config.path.includes(environment)
          ? []
          : [
              dangling(
                [...path, 'environments', at],
                `there is no environment "${environment}"`,
                'environment',
                config.path,
                environment,
              ),
            ],
      ),
      ...to.flatMap((word, at) =>
        isKnown(word, config)
          ? []
          : [dangling([...path, 'email', 'to', at], `"${word}" is nobody`, 'address, or one of these', known, word)],
      ),
    ];
  });
}

/** What a service builds upon: a base service of this file, and never, by way of others, itself. */
function findBases({ services }: ProjectConfig): Finding[] {
  const known = Object.keys(services).filter((name) => services[name]?.kind === 'base');
  const circles: Finding[] = [];
  buildOrder(services, (circle) => {
    const [first = '', next = ''] = circle;
    const what = `a circle of base services: ${circle.join(' -> ')}`;
    circles.push(plain(placeOfBase(services, first, next), what, 'a base that builds upon none of them'));
  });
  return [
    ...circles,
    ...Object.entries(services).flatMap(([service, { bases }]) =>
      bases.flatMap((base) => {
        const path = placeOfBase(services, service, base);
        if (!Object.hasOwn(services, base)) {
          const image = `an image with its tag, such as ${base}:latest`;
          const found = dangling(path, `there is no base service "${base}"`, 'base service', known, base);
          return [{ ...found, expected: `${found.expected}; or ${image}`, base }];
        }
        if (known.includes(base)) return [];
        return [plain(path, `service "${base}" is not a base`, `\`base\` in place of \`build\` in "${base}"`)];
      }),
    ),
  ];
}

function placeOfBase(services: ProjectConfig['services'], service: string, base: string): PropertyKey[] {
  const { kind, build, bases } = services[service] ?? {};
  const section = kind === 'base' ? 'base' : 'build';
  return ['services', service, section, build?.builder ?? '', 'from', bases?.indexOf(base) ?? 0];
}

function usersOf(config: ProjectConfig, of: string | readonly string[]): number {
  return new Set(typeof of === 'string' ? config.roles[of] : of).size;
}

function tooFew(config: ProjectConfig, of: string | readonly string[]): string {
  const users = usersOf(config, of);
  const count = users === 0 ? 'no users' : users === 1 ? 'one user' : `${users} users`;
  return typeof of === 'string' ? `role "${of}" has ${count}` : `the list has ${count}`;
}

function checksOf(config: ProjectConfig): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { checks } of Object.values(config.services))
    for (const [name, { during }] of Object.entries(checks)) found.set(name, [...(found.get(name) ?? []), during]);
  return found;
}

function namesWhere({ services }: ProjectConfig, is: (check: CheckDefinition) => boolean): ReadonlySet<string> {
  const named = Object.values(services).flatMap(({ checks }) => Object.entries(checks));
  return new Set(named.flatMap(([name, check]) => (is(check) ? [name] : [])));
}

function isLate(during: string): boolean {
  return during === 'deployment';
}

function dangling(path: PropertyKey[], what: string, noun: string, known: readonly string[], word: string): Finding {
  const nearest = nearestWord(word, known);
  const expected = `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}${known.length === 0 ? ', and there is none' : `: ${known.join(', ')}`}`;
  return { path, at: 'value', what, expected, ...(nearest === undefined ? {} : { nearest }) };
}

function plain(path: PropertyKey[], what: string, expected: string): Finding {
  return { path, at: 'value', what, expected };
}
