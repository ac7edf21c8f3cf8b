/** One step into a document: a key of a map, a place in a list, or the only item of a list with a key of that value. */
export type Step =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'item'; readonly key: string; readonly value: string };

export type ManifestPath = readonly Step[];

const QUOTED = String.raw`"(?:[^"\\]|\\["\\])*"`;
const STEP = new RegExp(
  [
    String.raw`\.?(?<key>[^.[\]"=\s]+)`,
    String.raw`\.?(?<quoted>${QUOTED})`,
    String.raw`\[(?<index>\d{1,6})\]`,
    String.raw`\[(?<by>[^.[\]"=\s]+)=(?<is>${QUOTED}|[^[\]"]+)\]`,
  ].join('|'),
  'y',
);

/**
 * Reads `spec.template.spec.containers[name=web].image`; a key with a dot in it stands in quotes: `data."app.image"`.
 * @returns null when it is none
 */
export function parsePath(text: string): ManifestPath | null {
  const steps: Step[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < text.length) {
    const at = STEP.lastIndex;
    const groups = STEP.exec(text)?.groups;
    if (groups === undefined) return null;
    const { key, quoted, index, by, is } = groups;
    const isKey = key !== undefined || quoted !== undefined;
    if (isKey && (at === 0) === text.startsWith('.', at)) return null; // a dot between keys, and none before the first
    if (isKey) steps.push({ kind: 'key', key: key ?? unquoted(quoted ?? '') });
    else if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else steps.push({ kind: 'item', key: by ?? '', value: unquoted(is ?? '') });
  }
  return steps.length === 0 ? null : steps;
}

export function formatPath(path: ManifestPath): string {
  return path.map((step, at) => formatStep(step, at === 0)).join('');
}

function formatStep(step: Step, isFirst: boolean): string {
  switch (step.kind) {
    case 'key':
      return `${isFirst ? '' : '.'}${/^[^.[\]"=\s]+$/.test(step.key) ? step.key : quoted(step.key)}`;
    case 'index':
      return `[${step.index}]`;
    case 'item':
      return `[${step.key}=${/^[^[\]"\\]+$/.test(step.value) ? step.value : quoted(step.value)}]`;
    default:
      return step satisfies never;
  }
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, String.raw`\$&`)}"`;
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text;
}
