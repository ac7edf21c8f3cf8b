import { z } from 'zod';

import { SecretReference } from '../../lib/fields.ts';

/** @see RFC 1123 subdomains, which names of most objects of Kubernetes are */
const ObjectName = z
  .string()
  .max(253, 'a name of at most 253 characters')
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'the name of an object in the cluster');

const Labels = z
  .string()
  .max(1000, 'at most 1000 characters')
  .regex(/^[-\w./]+=[-\w.]+(,[-\w./]+=[-\w.]+)*$/, 'labels such as app.kubernetes.io/instance=shop');

const where = {
  kubeconfig: SecretReference.optional().describe(
    'The kubeconfig as a secret: a reference, never the text. Without it the one of the server (TOWPATH_KUBECONFIG), or its service account',
  ),
  context: z
    .string()
    .min(1, 'the name of a context')
    .optional()
    .describe('Of the kubeconfig; its current one where none is named'),
};

/** What counts as done. */
export const SuccessSchema = z.union(
  [
    z.enum(['commit']),
    z.strictObject({
      argocd: z.strictObject({
        application: ObjectName.describe('The application that deploys what is written'),
        namespace: ObjectName.default('argocd').describe('Where the application object is'),
        ...where,
      }),
    }),
    z.strictObject({
      flux: z.strictObject({
        kustomization: ObjectName.describe('The kustomization that applies what is written'),
        helmRelease: ObjectName.optional().describe('A release that it applies, which runs the images'),
        namespace: ObjectName.default('flux-system').describe('Where these objects are'),
        targetNamespace: ObjectName.optional().describe('Where the workloads are, when the objects do not say it'),
        ...where,
      }),
    }),
    z.strictObject({
      cluster: z.strictObject({
        namespace: ObjectName.describe('Where the workloads are'),
        labels: Labels.describe('Which workloads: all of them have these labels'),
        ...where,
      }),
    }),
  ],
  '`commit`, or one of `argocd`, `flux` and `cluster` with its settings',
);
export type Success = z.infer<typeof SuccessSchema>;
