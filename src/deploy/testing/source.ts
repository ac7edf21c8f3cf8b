import type { SourceFiles } from '../driver.ts';

/** A commit that has these files. */
export function sourceOf(files: Readonly<Record<string, string>>): SourceFiles {
  return {
    file: (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      return Promise.resolve(text === undefined ? null : Buffer.from(text));
    },
    list: (folder) => {
      const above = folder === '' ? '' : `${folder}/`;
      const below = Object.keys(files).filter((path) => path.startsWith(above));
      return Promise.resolve(below.map((path) => path.slice(above.length)));
    },
  };
}
