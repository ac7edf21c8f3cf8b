import { z } from 'zod';

import type { Digest } from '../../../lib/digest.ts';
import { hexOf } from '../../../lib/digest.ts';
import { type Reading, readingOf, ReportFault, shorten } from '../../report/report.ts';
import type { Allowance } from './allow.ts';
import { familyOf, type InstalledPackage, purlOf } from './packages/package.ts';
import { packageOfPurl } from './sbom/purl.ts';
import type { Vulnerability } from './scanner.ts';

const Identified = { '@id': z.string().optional(), identifiers: z.object({ purl: z.string().optional() }).optional() };
const Component = z.union([z.string().transform((id) => ({ '@id': id })), z.looseObject(Identified)]);
const Product = z.union([
  z.string().transform((id) => ({ '@id': id, subcomponents: [] as z.output<typeof Component>[] })),
  z.looseObject({ ...Identified, subcomponents: z.array(Component).default([]) }),
]);
const Statement = z.object({
  vulnerability: z.union([
    z.string().transform((name) => ({ name, aliases: [] as string[] })),
    z.object({ name: z.string(), aliases: z.array(z.string()).default([]) }),
  ]),
  products: z.array(Product).default([]),
  status: z.enum(['not_affected', 'affected', 'fixed', 'under_investigation']),
  justification: z.string().optional(),
  impact_statement: z.string().optional(),
  timestamp: z.iso.datetime({ offset: true }).optional(),
});
const Document = z.object({
  '@context': z.string().startsWith('https://openvex.dev/ns'),
  timestamp: z.iso.datetime({ offset: true }),
  statements: z.array(Statement).min(1),
});

/** One word about one vulnerability, with the time at which it was said. */
export interface VexStatement extends Omit<z.output<typeof Statement>, 'timestamp'> {
  readonly atMs: number;
}

/** Reads an OpenVEX document. @see https://github.com/openvex/spec */
export function parseVex(text: string): Promise<Reading<readonly VexStatement[]>> {
  return readingOf(text, async () => {
    const document = Document.safeParse(jsonOf(text));
    if (!document.success) {
      const [issue] = document.error.issues;
      throw new ReportFault(`is no OpenVEX (${shorten(`${issue?.path.join('.')}: ${issue?.message}`, 120)})`);
    }
    const { timestamp, statements } = document.data;
    return statements.map(({ timestamp: own = timestamp, ...statement }) => ({ ...statement, atMs: Date.parse(own) }));
  });
}

/** A document of somebody who answers for it, up to a day. */
export interface Vex {
  readonly file: string;
  readonly owner: string;
  readonly untilMs: number;
  readonly statements: readonly VexStatement[];
}

/**
 * What a document says of a vulnerability in an image, as an allowance. Of several words about it the last counts, and of two at
 * the same time the one that allows nothing.
 */
export function allowanceByVex(found: Vulnerability, image: Digest, documents: readonly Vex[]): Allowance | null {
  const [last] = documents
    .flatMap((document) => document.statements.map((statement) => ({ document, statement })))
    .filter(({ statement }) => isAbout(statement, found, image))
    .toSorted(
      (one, other) =>
        other.statement.atMs - one.statement.atMs || Number(allows(one.statement)) - Number(allows(other.statement)),
    );
  if (last === undefined || !allows(last.statement)) return null;
  const { document, statement } = last;
  const { status, justification, impact_statement: impact } = statement;
  const reason = [status, justification, impact].filter((word) => word !== undefined).join(', ');
  return { id: found.id, owner: document.owner, reason: `${reason} (${document.file})`, untilMs: document.untilMs };
}

function allows({ status }: VexStatement): boolean {
  return status === 'not_affected' || status === 'fixed';
}

function isAbout({ vulnerability, products }: VexStatement, found: Vulnerability, image: Digest): boolean {
  const names = new Set([found.id, ...found.aliases]);
  if (![vulnerability.name, ...vulnerability.aliases].some((name) => names.has(name))) return false;
  return products.some((product) => {
    if (product.subcomponents.length > 0)
      return product.subcomponents.some((component) => isOf(component, found.installed));
    return isOf(product, found.installed) || idsOf(product).some((id) => isImage(id, image));
  });
}

interface Identifiable {
  readonly '@id'?: string | undefined;
  readonly identifiers?: { readonly purl?: string | undefined } | undefined;
}

function idsOf({ '@id': id, identifiers }: Identifiable): string[] {
  return [id, identifiers?.purl].filter((one) => one !== undefined);
}

/** `pkg:oci/web@sha256:...`: only by its digest is an image one. */
function isImage(id: string, image: Digest): boolean {
  return id.startsWith('pkg:oci/') && id.includes(hexOf(image));
}

/** A version that is not said is any; what is said of it besides, such as its platform, does not matter. */
function isOf(component: Identifiable, installed: InstalledPackage): boolean {
  return idsOf(component).some((id) => {
    const isAny = !/^pkg:[^?#]*[^/?#]@[^?#]+/.test(id);
    const named = packageOfPurl(isAny ? id.replace(/(?=[?#]|$)/, `@${encodeURIComponent(installed.version)}`) : id, '');
    if (named === null || familyOf(named.ecosystem) !== familyOf(installed.ecosystem)) return false;
    return (
      [installed.name, installed.called].some((name) => name === named.name || name === named.called) &&
      (named.version === installed.version || purlOf(named) === purlOf(installed))
    );
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw new ReportFault('is not JSON');
  }
}
