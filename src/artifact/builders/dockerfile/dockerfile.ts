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

  const syntax = /^(?:#\s*escape\s*=.*\n)?#\s*syntax\s*=\s*(\S+)/i.exec(text);
  if (syntax?.[1] !== undefined) {
    const end = syntax.index + syntax[0].length;
    mentions.push({ reference: syntax[1], start: end - syntax[1].length, end });
  }
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

interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The instructions in order, as words with their place. Comments, continued lines and here-documents are seen through. */
function* instructionsOf(text: string): Generator<Word[]> {
  const escape = /^#\s*escape\s*=\s*`/im.test(text.slice(0, text.search(/^[^#\s]/m))) ? '`' : '\\';
  let words: Word[] = [];
  let heredocs: { name: string; indented: boolean }[] = [];
  let start = 0;
  for (const line of text.split('\n')) {
    const lineStart = start;
    start += line.length + 1;
    const content = line.replace(/\r$/, '');
    const open = heredocs[0];
    if (open !== undefined) {
      if ((open.indented ? content.replace(/^\t+/, '') : content) === open.name) heredocs = heredocs.slice(1);
      continue;
    }
    if (/^\s*(#|$)/.test(content)) continue; // within a continued instruction as well
    const continues = content.trimEnd().endsWith(escape);
    const part = continues ? content.trimEnd().slice(0, -1) : content;
    for (const found of part.matchAll(/\S+/g)) {
      words.push({ text: found[0], start: lineStart + found.index, end: lineStart + found.index + found[0].length });
    }
    if (continues) continue;
    if (/^(RUN|COPY|ADD)$/i.test(words[0]?.text ?? '')) heredocs = words.flatMap(heredocOf);
    yield words;
    words = [];
  }
  if (words.length > 0) yield words;
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
  const image = pattern.exec(word.text)?.[1];
  if (image === undefined) return null;
  const start = word.start + (pattern.exec(word.text)?.[0].length ?? 0) - image.length;
  return { text: image, start, end: start + image.length };
}

function isIndex(text: string, stageCount: number): boolean {
  return /^\d+$/.test(text) && Number(text) < stageCount;
}

function unknownVariable(text: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.dockerfile-reference',
    what: `The Dockerfile names an image by "${text}", which has a variable without a value.`,
    fix: 'Give the variable a default (`ARG NAME=value` before the first FROM), or a value under `args` of the build.',
  });
}
