/** The path of a program, built where it is not yet; or what stands in the way. */
export function findGoProgram(
  name:
    | 'crane'
    | 'oras'
    | 'kustomize'
    | 'helm'
    | 'docker-compose'
    | 'kubernetes'
    | 'cosign'
    | 'osv-scanner'
    | 'registry',
): { readonly path: string; readonly missing?: undefined } | { readonly path?: undefined; readonly missing: string };
