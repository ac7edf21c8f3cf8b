import { expect, test } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { findImages, pinImages } from './dockerfile.ts';

const pin = sha256('pin');

test('outside images are those of FROM, COPY --from, RUN --mount and the syntax line; stages are not', () => {
  const text = `# syntax=docker/dockerfile:1
ARG VERSION=20
from --platform=$BUILDPLATFORM node:\${VERSION}-slim as build
RUN --mount=type=cache,target=/x --mount=type=bind,from=tools:1,source=/,target=/t make
COPY --from=registry.example:5000/certs:2 /c /c
FROM build AS test
FROM \\
  # a comment between
  busybox
COPY --chown=1 --from=Build /a /a
COPY --from=0 /a /a
FROM scratch
`;
  expect(refs(text)).toEqual([
    'docker/dockerfile:1',
    'node:20-slim',
    'tools:1',
    'registry.example:5000/certs:2',
    'busybox',
  ]);
  expect(refs(text, { VERSION: '22' })).toContain('node:22-slim');
});

test('what looks like an instruction inside a here-document is text', () => {
  const text = 'FROM a\nRUN <<EOF cat > /x\nFROM b\nEOF\nCOPY <<-"END" /y\nFROM c\n\tEND\nFROM d\n';
  expect(refs(text)).toEqual(['a', 'd']);
});

test('the escape directive decides how lines continue', () => {
  expect(refs('# escape=`\nFROM `\n  a\nRUN dir C:\\\nFROM b')).toEqual(['a', 'b']);
});

test('a word goes on in the next line where nothing parts it, as BuildKit joins lines', () => {
  expect(refs('FROM no\\\n# between\nde\\\n\\\n:20\nCOPY --fr\\\nom=b:\\\n1 / /\nFROM a\\\n AS b\n')).toEqual([
    'node:20',
    'b:1',
    'a',
  ]);
  const text = 'FROM no\\\nde:20\nRUN --mount=type=bind,fr\\\nom=b\\\n:1,target=/ x\n';
  const { text: pinned } = pinImages(text, {}, { 'node:20': pin, 'b:1': pin });
  expect(pinned).toBe(`FROM node@${pin}\nRUN --mount=type=bind,fr\\\nom=b@${pin},target=/ x\n`);
});

test('directives stand at the very top, in any order; after any other line they are comments', () => {
  expect(refs('# check=skip=all\n#Syntax = a:1 b\r\n# escape=`\nFROM `\nb\n')).toEqual(['a:1', 'b']);
  expect(refs('# hello\n# escape=`\n# syntax=a:1\nFROM b `\nFROM c \\\nAS d\n')).toEqual(['b', 'c']);
});

test('an escape that is escaped continues no line', () => {
  expect(refs('FROM a\nRUN echo \\\\\nFROM b\n')).toEqual(['a', 'b']);
  expect(refs('FROM a\nRUN echo \\ \t\nFROM b\n')).toEqual(['a']);
});

test('variables take defaults and alternatives; an image without a name is refused', () => {
  expect(refs('ARG A\nARG B="x"\nFROM ${A:-one}/${B:+two}')).toEqual(['one/two']);
  expect(() => refs('ARG A\nFROM node:$A')).toThrow(expect.objectContaining({ code: 'artifact.dockerfile-reference' }));
});

test('every mention is replaced by its digest and all else stays as it is', () => {
  const text = 'FROM localhost:5000/node:20 AS a\r\nRUN echo node:20\nCOPY --from=b:1 / /\nFROM a\n';
  const pinned = pinImages(text, {}, { 'localhost:5000/node:20': pin, 'b:1': pin });
  expect(pinned.text).toBe(
    `FROM localhost:5000/node@${pin} AS a\r\nRUN echo node:20\nCOPY --from=b@${pin} / /\nFROM a\n`,
  );
  expect(pinned.images).toEqual([
    { reference: `localhost:5000/node@${pin}`, digest: pin },
    { reference: `b@${pin}`, digest: pin },
  ]);
});

test('a base image that is lent is named by the place where it rests', () => {
  const reference = `localhost:5000/towpath/node@${sha256('image')}`;
  const lent = new Map([['towpath:node-22', { reference, digest: sha256('image') }]]);
  const pinned = pinImages('FROM towpath:node-22\nFROM b:1\n', {}, { 'towpath:node-22': pin, 'b:1': pin }, lent);
  expect(pinned.text).toBe(`FROM ${reference}\nFROM b@${pin}\n`);
  expect(pinned.images.map(({ digest }) => digest)).toEqual([sha256('image'), pin]);
});

test('an image without a pin is refused, one that names its digest is its own pin', () => {
  expect(() => pinImages('FROM a', {}, {})).toThrow(expect.objectContaining({ code: 'artifact.unpinned' }));
  expect(() => pinImages('FROM constructor', {}, {})).toThrow(expect.objectContaining({ code: 'artifact.unpinned' }));
  expect(pinImages(`FROM a:1@${pin}`, {}, {}).text).toBe(`FROM a@${pin}`);
});

function refs(text: string, args: Record<string, string> = {}): string[] {
  return findImages(text, args).map(({ reference }) => reference);
}
