import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Command } from 'commander';
import { expect, test } from 'vitest';

import { createProgram } from '../src/cli/program.ts';
import { VERBS } from '../src/cli/commands.ts';
import { processIo } from '../src/cli/io.ts';
import { drivers } from '../src/deploy/drivers.ts';
import { ABILITIES, type Lack } from '../src/deploy/statement.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Every page of the documentation, with its text. */
const pages: readonly { readonly path: string; readonly text: string }[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'examples/shop/README.md',
  ...(await readdir(join(root, 'docs'), { recursive: true })).map((path) => `docs/${path}`),
]
  .filter((path) => path.endsWith('.md'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

test('every link from one page to another, to a heading or to a file leads somewhere', () => {
  const broken = pages.flatMap(({ path, text }) =>
    linksOf(text)
      .filter((link) => !leadsSomewhere(path, link))
      .map((link) => `${path}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test('every command and option that the pages name is one of the program', () => {
  const program = createProgram(VERBS, () => () => Promise.resolve(), processIo(new AbortController().signal), '0');
  const wrong = pages.flatMap(({ path, text }) =>
    commandLinesOf(text).flatMap((line) => mistakesIn(program, line).map((mistake) => `${path}: ${line}: ${mistake}`)),
  );
  expect(wrong).toEqual([]);
});

test('every npm script that the pages name is there', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
  const wrong = pages.flatMap(({ path, text }) =>
    namesAfter(text, /npm run ([a-z:-]+)/g, (name) => Object.hasOwn(scripts, name)).map(
      (name) => `${path}: npm run ${name}`,
    ),
  );
  expect(wrong).toEqual([]);
});

test('every make target that the pages name is there', () => {
  const targets = new Set([...readText('Makefile').matchAll(/^([a-z-]+):/gm)].map(([, target]) => target));
  const wrong = pages.flatMap(({ path, text }) =>
    namesAfter(text, /(?:`|^)make ([a-z-]+)/gm, (name) => targets.has(name)).map((name) => `${path}: make ${name}`),
  );
  expect(wrong).toEqual([]);
});

test('the page of drivers says what each says that it lacks; after a change, run this test with --update', async () => {
  const table = /^\| what a driver can do .*\n(?:\|.*\n)*/m;
  const page = readText('docs/guide/drivers.md');
  expect(page).toMatch(table);
  await expect(page.replace(table, () => tableOfLacks())).toMatchFileSnapshot('../docs/guide/drivers.md');
});

function tableOfLacks(): string {
  const rows = Object.entries(ABILITIES).map(([ability, says]) => [
    `${ability.replaceAll('-', ' ')}: ${says}`,
    ...drivers.map(({ lacks }) => (lacks.includes(ability as Lack) ? 'lacks it' : '')),
  ]);
  const head = ['what a driver can do', ...drivers.map(({ name }) => `\`${name}\``)];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function linksOf(text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => (link === undefined ? [] : [link]));
}

function leadsSomewhere(from: string, link: string): boolean {
  if (/^[a-z]+:/.test(link)) return true; // outside of the repository
  const [file = '', heading] = link.split('#');
  const target = file === '' ? join(root, from) : join(root, dirname(from), file);
  if (!existsSync(target) || relative(root, target).startsWith('..')) return false;
  return heading === undefined || headingsOf(readFileSync(target, 'utf8')).includes(heading);
}

/** As the usual renderers of Markdown name them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** `towpath ...` at the start of a line of a code block, or within backticks; comments and pipes end it. */
function commandLinesOf(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```(?:sh|console)\n([\s\S]*?)^ *```/gm)].flatMap(([, body = '']) =>
    body.split('\n'),
  );
  const inline = [...text.matchAll(/`(towpath [^`\n]+)`/g)].map(([, line = '']) => line);
  return [...blocks, ...inline].flatMap((line) => {
    const found = /^ *(?:\$ )?(towpath [^#|>)]*)/.exec(line)?.[1];
    return found === undefined ? [] : [found.trim()];
  });
}

function mistakesIn(program: Command, line: string): string[] {
  let command = program;
  const words = line
    .replaceAll(/"[^"]*"/g, 'TEXT')
    .split(/\s+/)
    .slice(1);
  while (words[0] !== undefined && !words[0].startsWith('-')) {
    const child = command.commands.find((one) => one.name() === words[0]);
    if (child === undefined) break;
    command = child;
    words.shift();
  }
  if (command === program && words[0] !== undefined && !words[0].startsWith('-')) return [`no command ${words[0]}`];
  const known = [...command.options, ...program.options].flatMap(({ long, short }) => [long, short]);
  return words
    .filter((word) => word.startsWith('-') && word !== '-' && !known.includes(word.split('=')[0]) && word !== '--help')
    .map((option) => `no option ${option}`);
}

function namesAfter(text: string, pattern: RegExp, isKnown: (name: string) => boolean): string[] {
  return [...text.matchAll(pattern)].flatMap(([, name = '']) => (isKnown(name) ? [] : [name]));
}

function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
