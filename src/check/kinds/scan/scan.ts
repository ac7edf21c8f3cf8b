import { z } from 'zod';

import { readImage } from '../../../container/rootfs/image.ts';
import { readImageFiles } from '../../../container/rootfs/image-files.ts';
import { Duration, RelativePath } from '../../../lib/fields.ts';
import { groupBy } from '../../../lib/group.ts';
import { CheckError } from '../../error.ts';
import { checkKind, type CheckAnswer, type CheckRequest, type ScanTools } from '../../kind.ts';
import { type FileKeeper, KEPT, type KeptFiles } from '../../kept-files.ts';
import type { Reading } from '../../report/report.ts';
import { FAMILIES } from './advisories/order.ts';
import { SEVERITIES } from './advisories/severity.ts';
import { AllowField, VexField } from './allow.ts';
import { builtInScanner } from './built-in.ts';
import { ecrApi } from './ecr/api.ts';
import { type EcrQuestion, ecrScanner } from './ecr/ecr.ts';
import { judge } from './judge.ts';
import { installedIn, saysWhatIsInstalled } from './packages/installed.ts';
import { osvScanner } from './osv-scanner/osv-scanner.ts';
import { familyOf, type InstalledPackage } from './packages/package.ts';
import { parseSbom } from './sbom/read.ts';
import { BOM, cycloneDxOf } from './sbom/write.ts';
import type { Scanner, Vulnerability } from './scanner.ts';
import { allowanceByVex, parseVex, type Vex } from './vex.ts';

const DAY_MS = 86_400_000;

/** Of the files that say what is installed, together. */
const MAX_BYTES = 256 * 1024 * 1024;

const fields = {
  scan: z
    .strictObject({
      failOn: z.enum(SEVERITIES).default('high').describe('The least severity that fails it (high)'),
      unrated: z
        .enum(['fail', 'pass'])
        .default('fail')
        .describe('What a vulnerability does that nobody has rated (fail)'),
      onlyFixed: z.boolean().default(false).describe('Let pass what no version mends yet (false)'),
      ecosystems: z
        .array(z.enum(FAMILIES))
        .min(1)
        .optional()
        .describe('Which packages are looked at (all; what is not named is not seen)'),
      scanner: z
        .enum(['built-in', 'osv-scanner', 'ecr'])
        .default('built-in')
        .describe(
          'What looks them up: `osv-scanner` is a program on the server, `ecr` the scan of Amazon ECR (built-in)',
        ),
      sbom: RelativePath.refine((path) => path !== '.', 'a file')
        .optional()
        .describe('A file of the image that names more packages: CycloneDX or SPDX, in JSON'),
      maxAge: Duration.default(7 * DAY_MS).describe('How old the advisories may be (7d)'),
      vex: z.array(VexField).default([]).describe('What OpenVEX documents of the default branch say'),
      allow: z.array(AllowField).default([]).describe('What somebody answers for, for a time'),
    })
    .refine(({ scanner, sbom }) => scanner !== 'ecr' || sbom === undefined, {
      path: ['sbom'],
      error: 'no list, for Amazon ECR looks at the image and not into it',
    })
    .describe('Looks for known vulnerabilities in what is installed in the image'),
};

/**
 * Known vulnerabilities of what is installed in the image: read from its layers, looked up in the advisories of this server.
 * These are no part of the question, else no answer of yesterday could be found; the answer names them, and is asked for again
 * when they have changed.
 */
export const scan = checkKind({
  name: 'scan',
  type: 'security',
  version: '1',
  fields,
  during: ['release'],
  leaves: [BOM],
  inputs: () => [],
  ruledBy: ({ scan: { vex } }) => vex.map(({ file }) => file),
  async ask(request, { scanning, directory }) {
    if (scanning === undefined) throw unable();
    const { signal, timeoutMs } = request;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      return await look(request, { ...scanning, directory }, deadline);
    } catch (error) {
      if (signal.aborted || !deadline.aborted) throw error;
      return { verdict: 'error', summary: 'it was not done in time' };
    }
  },
});

async function look(
  { definition: { scan: wish }, digest, log, ruling, keeper }: CheckRequest<z.output<z.ZodObject<typeof fields>>>,
  tools: ScanTools & { readonly directory: string },
  signal: AbortSignal,
): Promise<CheckAnswer> {
  const { clock } = tools;
  const { source, repository, image, platform } = await tools.imageOf(digest, signal);
  const wants = (path: string): boolean => path === wish.sbom || saysWhatIsInstalled(path);
  const files = await readImageFiles(source, repository, image, { platform, wants, maxBytes: MAX_BYTES, signal });
  const listed = wish.sbom === undefined ? [] : await listedIn(files, wish.sbom);
  if ('wrong' in listed) return { verdict: 'error', summary: `its list of packages ${wish.sbom} ${listed.wrong}` };
  const { packages: installed, unreadable } = installedIn(files);
  const packages = [...installed, ...listed].filter(
    ({ ecosystem }) => wish.ecosystems?.includes(familyOf(ecosystem)) ?? true,
  );
  for (const [ecosystem, these] of groupBy(packages, (one) => one.ecosystem))
    log(`${these.length} ${these.length === 1 ? 'package' : 'packages'} of ${ecosystem}`);
  const documents = await vexIn(wish.vex, ruling);
  if ('wrong' in documents) return { verdict: 'error', summary: `the VEX document ${documents.wrong}` };
  const { manifest } = await readImage(source, repository, image, platform);
  const scanner = scannerOf(wish, tools, { repository, manifest, installed });
  const scanned = await scanner.scan(packages, signal);
  const limits = { ...wish, allowedBy: (found: Vulnerability) => allowanceByVex(found, digest, documents) };
  const answer = judge({ scanner, packages, unreadable, scanned }, limits, clock.now());
  for (const { rule, where, message } of answer.findings?.first ?? []) log(`${rule}: ${where}: ${message}`);
  return packages.length === 0 || keeper === undefined ? answer : { ...answer, kept: await keepList(packages, keeper) };
}

function scannerOf(
  { scanner, ecosystems }: z.output<typeof fields.scan>,
  { advisories, osvScanner: program, directory, ecr, clock }: ScanTools & { readonly directory: string },
  image: Pick<EcrQuestion, 'repository' | 'manifest' | 'installed'>,
): Scanner {
  switch (scanner) {
    case 'built-in':
      return builtInScanner(advisories);
    case 'osv-scanner':
      return osvScanner(advisories, { program, directory });
    case 'ecr':
      return ecrScanner(ecr === null ? null : ecrApi(ecr, clock), { ...image, ecosystems, clock });
    default:
      return scanner satisfies never;
  }
}

async function keepList(packages: readonly InstalledPackage[], { store }: FileKeeper): Promise<KeptFiles> {
  const bytes = Buffer.from(cycloneDxOf(packages));
  if (bytes.length > KEPT.fileBytes) return { files: [], leftOut: 1 };
  return { files: [{ path: BOM, digest: await store(bytes), size: bytes.length }], leftOut: 0 };
}

async function listedIn(
  files: ReadonlyMap<string, Buffer>,
  path: string,
): Promise<Reading<readonly InstalledPackage[]>> {
  const text = files.get(path)?.toString('utf8');
  return text === undefined ? { wrong: 'is not in the image' } : parseSbom(text, path);
}

async function vexIn(
  wanted: z.output<typeof fields.scan>['vex'],
  ruling: CheckRequest<unknown>['ruling'],
): Promise<Reading<readonly Vex[]>> {
  const documents: Vex[] = [];
  for (const { file, ...entry } of wanted) {
    const bytes = (await ruling?.(file)) ?? null;
    const statements =
      bytes === null ? { wrong: 'is not on the default branch' } : await parseVex(bytes.toString('utf8'));
    if ('wrong' in statements) return { wrong: `${file} ${statements.wrong}` };
    documents.push({ file, ...entry, statements });
  }
  return documents;
}

function unable(): CheckError {
  return new CheckError({
    code: 'check.cannot-scan',
    what: 'Images cannot be read here.',
    fix: 'Ask the check on a server that holds or reaches the registry.',
  });
}
