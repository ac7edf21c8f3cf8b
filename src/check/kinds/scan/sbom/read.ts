import { z } from 'zod';

import { type Reading, readingOf, ReportFault, shorten } from '../../../report/report.ts';
import type { InstalledPackage } from '../packages/package.ts';
import { packageOfPurl } from './purl.ts';

interface Component {
  readonly purl?: string | undefined;
  readonly components?: readonly Component[] | undefined;
}
const Component: z.ZodType<Component> = z.lazy(() =>
  z.object({ purl: z.string().optional(), components: z.array(Component).optional() }),
);
const CycloneDx = z.object({
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.string().regex(/^1\.[2-7]$/),
  components: z.array(Component).default([]),
});
const Spdx = z.object({
  spdxVersion: z.string().regex(/^SPDX-2\.[23]$/),
  documentDescribes: z.array(z.string()).default([]),
  packages: z.array(
    z.object({
      SPDXID: z.string(),
      externalRefs: z.array(z.object({ referenceType: z.string(), referenceLocator: z.string() })).default([]),
    }),
  ),
});

/** So deep may components lie in each other. */
const DEEPEST = 50;

/**
 * Reads a list of packages that a tool wrote: CycloneDX (1.2 to 1.7) or SPDX (2.2, 2.3), in JSON. What has no package URL cannot
 * be looked up and is left out; a list that names nothing is none.
 */
export function parseSbom(text: string, where: string): Promise<Reading<readonly InstalledPackage[]>> {
  return readingOf(text, async () => {
    const packages = purlsIn(jsonOf(text)).flatMap((purl) => packageOfPurl(purl, where) ?? []);
    if (packages.length === 0) throw new ReportFault('names no package with a version');
    return packages;
  });
}

function purlsIn(json: unknown): readonly string[] {
  const isSpdx = typeof json === 'object' && json !== null && 'spdxVersion' in json;
  const parsed = isSpdx ? Spdx.safeParse(json) : CycloneDx.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const what = shorten(`${issue?.path.join('.')}: ${issue?.message}`, 120);
    throw new ReportFault(`is ${isSpdx ? 'no SPDX 2.2 or 2.3' : 'neither CycloneDX nor SPDX, in JSON'} (${what})`);
  }
  if ('components' in parsed.data) return parsed.data.components.flatMap((component) => purlsOf(component, 0));
  const { documentDescribes, packages } = parsed.data;
  return packages
    .filter(({ SPDXID: id }) => !documentDescribes.includes(id)) // what the list is about
    .flatMap(({ externalRefs }) => externalRefs)
    .filter(({ referenceType }) => referenceType === 'purl')
    .map(({ referenceLocator }) => referenceLocator);
}

function purlsOf({ purl, components = [] }: Component, depth: number): string[] {
  if (depth > DEEPEST) throw new ReportFault('has components that lie too deep in each other');
  return [...(purl === undefined ? [] : [purl]), ...components.flatMap((one) => purlsOf(one, depth + 1))];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw new ReportFault('is not JSON');
  }
}
