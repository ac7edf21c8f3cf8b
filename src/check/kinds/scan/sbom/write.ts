import { type InstalledPackage, purlOf } from '../packages/package.ts';

/** How the list is called where it is kept: for people and other tools. */
export const BOM = 'bom.cdx.json';

/** The packages as CycloneDX 1.6. Equal packages give equal bytes: it holds no time and no number of its own. */
export function cycloneDxOf(packages: readonly InstalledPackage[]): string {
  const components = packages
    .map((installed) => ({ purl: purlOf(installed), ...installed }))
    .toSorted((one, other) => (one.purl < other.purl ? -1 : 1))
    .map(({ purl, called, version, where }) => ({
      type: 'library',
      'bom-ref': purl,
      name: called,
      version,
      purl,
      evidence: { occurrences: [{ location: where }] },
    }));
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    components,
  };
  return `${JSON.stringify(bom, null, 1)}\n`;
}
