import { z } from 'zod';

import { listOf, Name, RelativePath } from '../../lib/fields.ts';
import type { DriverStatement } from '../statement.ts';

/** As Kubernetes has names of namespaces. */
const DnsLabel = z.string().regex(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a name of small letters, digits and `-`');
const ImageName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._/:-]{0,254}$/, 'the name of an image, with neither tag nor digest');

export const KubernetesConfig = z
  .strictObject({
    context: z.string().min(1).max(253).optional().describe('Of the kubeconfig; its current one where none is named'),
    kubeconfig: z
      .string()
      .regex(/^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\/\P{Cc}+)$/u, 'a reference to a secret: env:NAME or file:/path')
      .optional()
      .describe(
        'The kubeconfig as a secret: a reference, never the text. Without it the one of the server (TOWPATH_KUBECONFIG), or its service account',
      ),
    namespace: DnsLabel.optional().describe(
      'A namespace that is there, for this environment alone; without it each environment has its own, made and ended with it',
    ),
    manifests: listOf(RelativePath)
      .refine((paths) => paths.length > 0 && paths.length <= 20, 'one to twenty files or folders')
      .optional()
      .describe('Files or folders of plain YAML, from the root of the repository'),
    kustomize: RelativePath.optional().describe('The folder of an overlay, from the root of the repository'),
    helm: z
      .strictObject({
        chart: RelativePath.describe('The folder of a chart, from the root of the repository'),
        values: z
          .array(RelativePath)
          .max(10, 'at most 10 files')
          .default([])
          .describe('Files of values, later ones win'),
      })
      .optional()
      .describe('A chart of the repository'),
    images: z
      .record(Name, listOf(ImageName))
      .default({})
      .describe('Service -> how the manifests call its image, where that does not end with the name of the service'),
    unpinned: z
      .enum(['warn', 'refuse'])
      .default('warn')
      .describe('What is done about an image without a digest that Towpath does not build'),
    conflicts: z
      .enum(['take', 'refuse'])
      .default('take')
      .describe(
        'What is done about a field of ours that somebody changed by hand: it is taken back, and told; or nothing is deployed',
      ),
    graceMs: z
      .number()
      .int()
      .min(0)
      .max(600_000)
      .default(10_000)
      .describe('How long a program may take to end when asked to, where no manifest says it'),
    timeoutMs: z
      .number()
      .int()
      .min(1000)
      .max(3_600_000)
      .default(600_000)
      .describe('How long a service may take until all its replicas run and are well, images fetched'),
  })
  .refine(
    ({ manifests, kustomize, helm }) => [manifests, kustomize, helm].filter((one) => one !== undefined).length <= 1,
    'one of: `manifests`, `kustomize`, `helm`',
  );
export type KubernetesConfig = z.infer<typeof KubernetesConfig>;

export const kubernetesStatement: DriverStatement<KubernetesConfig> = {
  name: 'kubernetes',
  config: KubernetesConfig,
  lacks: ['addresses', 'output', 'one-switch', 'isolation'],
};

/** Whether the repository says what is applied; else it is made from towpath.yaml. */
export function hasManifests({ manifests, kustomize, helm }: KubernetesConfig): boolean {
  return manifests !== undefined || kustomize !== undefined || helm !== undefined;
}
