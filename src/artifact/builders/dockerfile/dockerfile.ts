import type { Digest } from '../../../lib/digest.ts';
import { ArtifactError } from '../../artifact-error.ts';
import { expandVariables } from './variables.ts';

/** An outside image that a Dockerfile names, and where in its text it does so. */
export interface ImageMention {
  /** With the Dockerfile's global variables filled in. */
  readonly reference: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Finds every outside image: of `FROM`, `COPY --from`, `RUN --mount=...,from=` and the `# syntax=` line. Stages of the
 * file itself and `scratch` are not outside.
 * @param args build arguments; they win over the defaults of `ARG` before the first `FROM`
 * @throws ArtifactError `artifact.dockerfile-reference` for an image named by a variable without a value
 */
export function findImages(text: string, args: Readonly<Record<string, string>>): ImageMention[] {
  const mentions: ImageMention[] = [];
  const stages = new Set<string>();
  const variables = new Map<string, string>();
  let stageCount = 0;
  const mention = (word: Word): void => {
    const reference = expandVariables(word.text, variables);
    if (reference === null) throw unknownVariable(word.text);
    const isStage = stages.has(reference.toLowerCase()) || reference === 'scratch';
    if (!isStage) mentions.push({ reference, start: word.start, end: word.end });
  };

  const syntax = directivesOf(text).get('syntax');
  if (syntax !== undefined) mentions.push({ ...syntax, reference: syntax.value });
  for (const words of instructionsOf(text)) {
    const name = words[0]?.text.toUpperCase();
    const rest = words.slice(1);
    if (name === 'ARG' && stageCount === 0) {
      for (const { text: pair } of rest) setVariable(variables, pair, args);
    } else if (name === 'FROM') {
      const [image, as, stage] = rest.filter(({ text: word }) => !word.startsWith('--'));
      if (image !== undefined) mention(image);
      if (as?.text.toUpperCase() === 'AS' && stage !== undefined) stages.add(stage.text.toLowerCase());
      stageCount++;
    } else if (name === 'COPY' || name === 'ADD' || name === 'RUN') {
      for (const word of rest) {
        if (!word.text.startsWith('--')) break;
        const from = imageOfFlag(name, word);
        if (from !== null && !isIndex(from.text, stageCount)) mention(from);
      }
    }
  }
  return mentions;
}

/**
 * The Dockerfile with each outside image named by its digest, so that what is built from is what was pinned.
 * @param lent images that rest elsewhere than their reference says
 * @throws ArtifactError `artifact.unpinned`
 */
export function pinImages(
  text: string,
  args: Readonly<Record<string, string>>,
  pins: Readonly<Record<string, Digest>>,
  lent: ReadonlyMap<string, PinnedImage> = new Map(),
): { readonly text: string; readonly images: readonly PinnedImage[] } {
  let pinned = '';
  let at = 0;
  const images = new Map<string, PinnedImage>();
  for (const { reference, start, end } of findImages(text, args)) {
    const image = lent.get(reference) ?? pinOf(reference, pins);
    images.set(image.reference, image);
    pinned += `${text.slice(at, start)}${image.reference}`;
    at = end;
  }
  return { text: pinned + text.slice(at), images: [...images.values()] };
}

export interface PinnedImage {
  /** `repository@digest`; a tag beside a digest says nothing and is left out. */
  readonly reference: string;
  readonly digest: string;
}

function pinOf(reference: string, pins: Readonly<Record<string, Digest>>): PinnedImage {
  const [name = '', own] = reference.split('@');
  const digest = own ?? (Object.hasOwn(pins, reference) ? pins[reference] : undefined);
  if (digest !== undefined) return { reference: `${name.replace(/:[^/:]*$/, '')}@${digest}`, digest };
  throw new ArtifactError({
    code: 'artifact.unpinned',
    what: `The image "${reference}" of the Dockerfile has no pinned digest.`,
    fix: 'Run `towpath base refresh`, which asks its registry and records the digest.',
  });
}

/** The paths of its context that a Dockerfile copies, as they stand in it. */
export function copiedIn(text: string): string[] {
  const paths: string[] = [];
  for (const words of instructionsOf(text)) {
    const [name, ...rest] = words.map((word) => word.text);
    if (!/^(?:COPY|ADD)$/i.test(name ?? '') || rest.some((word) => /^--from=|^<</.test(word))) continue;
    const named = rest.filter((word) => !word.startsWith('--')).slice(0, -1); // the last is where to
    paths.push(
      ...named.map((word) => word.replaceAll(/^\[?"|",?$/g, '')).filter((word) => !/^[a-z]+:|^git@/i.test(word)),
    );
  }
  return [...new Set(paths)];
}

interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Where its pieces are, if it goes on in the next line: offset in `text`, and place in the file. */
  readonly pieces: readonly { readonly offset: number; readonly place: number }[];
}

/** The instructions in order, as words with their place. Comments, continued lines and here-documents are seen through. */
function* instructionsOf(text: string): Generator<Word[]> {
  const escape = directivesOf(text).get('escape')?.value === '`' ? '`' : '\\';
  const continues = new RegExp(`(?:^|[^\\${escape}])\\${escape}[ \\t]*$`);
  let words: Word[] = [];
  let isOpen = false; // the last word ended with its line, and may go on in the next
  const heredocs: { name: string; indented: boolean }[] = [];
  let closed = 0;
  let start = 0;
  for (const line of text.split('\n')) {
    const lineStart = start;
    start += line.length + 1;
    const content = line.replace(/\r$/, '');
    const open = heredocs[closed];
    if (open !== undefined) {
      if ((open.indented ? content.replace(/^\t+/, '') : content) === open.name) closed++;
      continue;
    }
    if (/^\s*(#|$)/.test(content)) continue; // within a continued instruction as well
    const goesOn = continues.test(content);
    const part = goesOn ? content.slice(0, content.lastIndexOf(escape)) : content;
    for (const found of part.matchAll(/\S+/g)) {
      const place = lineStart + found.index;
      const before = isOpen && found.index === 0 ? words.pop() : undefined;
      words.push(wordOf(found[0], place, before));
    }
    if (part !== '') isOpen = !/\s$/.test(part);
    if (goesOn) continue;
    if (/^(RUN|COPY|ADD)$/i.test(words[0]?.text ?? '')) for (const word of words) heredocs.push(...heredocOf(word));
    yield words;
    words = [];
    isOpen = false;
  }
  if (words.length > 0) yield words;
}

/** The comments of the form `# name=value` at the very top, the first of each name. What comes after any other line is a comment. */
function directivesOf(text: string): Map<string, { value: string; start: number; end: number }> {
  const directives = new Map<string, { value: string; start: number; end: number }>();
  const pattern = /#[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(\S+)[^\n]*(?:\n|$)/dy;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const [, name = '', value = ''] = found;
    const [start, end] = found.indices?.[2] ?? [0, 0];
    if (!directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), { value, start, end });
  }
  return directives;
}

function wordOf(text: string, place: number, before?: Word): Word {
  if (before === undefined) return { text, start: place, end: place + text.length, pieces: [{ offset: 0, place }] };
  const pieces = [...before.pieces, { offset: before.text.length, place }];
  return { text: before.text + text, start: before.start, end: place + text.length, pieces };
}

function placeIn({ pieces, start }: Word, offset: number): number {
  const piece = pieces.findLast((one) => one.offset <= offset);
  return piece === undefined ? start : piece.place + offset - piece.offset;
}

function heredocOf({ text }: Word): { name: string; indented: boolean }[] {
  const found = /^(?:\d*)<<(-?)(["']?)([A-Za-z_][\w.]*)\2$/.exec(text);
  return found?.[3] === undefined ? [] : [{ name: found[3], indented: found[1] === '-' }];
}

function setVariable(variables: Map<string, string>, pair: string, args: Readonly<Record<string, string>>): void {
  const at = pair.indexOf('=');
  const name = at === -1 ? pair : pair.slice(0, at);
  const given = Object.hasOwn(args, name) ? args[name] : undefined;
  const standard = at === -1 ? null : expandVariables(pair.slice(at + 1).replace(/^(["'])(.*)\1$/, '$2'), variables);
  const value = given ?? standard;
  if (value !== null) variables.set(name, value);
}

/** The image in `--from=image` of a COPY, or in `--mount=type=bind,from=image` of a RUN. */
function imageOfFlag(instruction: string, word: Word): Word | null {
  const pattern = instruction === 'RUN' ? /^--mount=(?:.*,)?from=([^,]+)/ : /^--from=(.+)$/;
  const found = pattern.exec(word.text);
  const image = found?.[1];
  if (found === null || image === undefined) return null;
  const end = found[0].length;
  return { ...word, text: image, start: placeIn(word, end - image.length), end: placeIn(word, end - 1) + 1 };
}

function isIndex(text: string, stageCount: number): boolean {
  return /^\d+$/.test(text) && Number(text) < stageCount;
}

function unknownVariable(text: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.dockerfile-reference',
    what: `The Dockerfile names an image by "${text.slice(0, 200)}", which has a variable without a value, or is too long.`,
    fix: 'Give the variable a default (`ARG NAME=value` before the first FROM), or a value under `args` of the build.',
  });
}
