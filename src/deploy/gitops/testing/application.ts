/** Where the applications of the Argo CD of the tests are. */
export const APPLICATIONS = '/apis/argoproj.io/v1alpha1/namespaces/argocd/applications';

/** Brings a folder of a repository into the namespace of the same name. */
export function application(name: string, repoURL: string, automated: boolean): object {
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name },
    spec: {
      project: 'default',
      source: { repoURL, path: name, targetRevision: 'main' },
      destination: { server: 'https://kubernetes.default.svc', namespace: name },
      ...(automated ? { syncPolicy: { automated: {}, retry: { limit: 0 } } } : {}),
    },
  };
}

/** A manifest with one image, `registry.test/shop/web:v0`. @param deadline seconds without progress until it counts as failed */
export function deployment(namespace: string, deadline = 120): string {
  return [
    'apiVersion: apps/v1',
    'kind: Deployment',
    `metadata: { name: web, namespace: ${namespace} }`,
    'spec:',
    '  replicas: 2',
    `  progressDeadlineSeconds: ${deadline}`,
    '  selector: { matchLabels: { app: web } }',
    '  template:',
    '    metadata: { labels: { app: web } }',
    '    spec:',
    '      containers:',
    '        - name: web',
    '          image: registry.test/shop/web:v0',
    '',
  ].join('\n');
}
