import { TowpathError } from '../../lib/error.ts';

/** `kubernetes.*`: a cluster cannot be reached, refused, or lacks what was asked for; or how it is reached is not well said. */
export class KubernetesError extends TowpathError {}

/** @param why one clause, without a secret */
export function badConfig(where: string, why: string): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.config',
    what: `${where} does not say how a cluster is reached: ${why}.`,
    fix: 'Try it with `kubectl --kubeconfig FILE version`, and correct it.',
  });
}

export function noConfig(): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.no-config',
    what: 'Nothing says which Kubernetes cluster is meant: there is no kubeconfig, and Towpath does not run in a cluster.',
    fix: 'Let TOWPATH_KUBECONFIG name a kubeconfig on the machine of the server, or give `kubeconfig` in towpath.yaml.',
  });
}

export function noCredential(program: string, why: string): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.credential',
    what: `The program "${program}", which the kubeconfig names for a token, gave none: ${why}.`,
    fix: 'Run it by hand on the machine of the server, as the user of the server.',
  });
}

export function unreachable(server: string, why: string): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.unreachable',
    what: `The Kubernetes API at ${server} does not answer (${why}).`,
    fix: 'Check the address and the certificate authority in the kubeconfig, and that this machine reaches it.',
  });
}

export function notApi(server: string, doing: string): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.not-api',
    what: `What answers at ${server} is not the Kubernetes API: asked to ${doing}, it gave something else.`,
    fix: 'Check the address in the kubeconfig, and whether a proxy stands in between and answers in its place.',
  });
}

export function tooMany(doing: string, pages: number): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.too-large',
    what: `The Kubernetes API could not ${doing}: after ${pages} pages there were still more.`,
    fix: 'Look what is so many in this namespace; Towpath does not read more at once.',
  });
}

export function tooLarge(doing: string, limitBytes: number): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.too-large',
    what: `The Kubernetes API could not ${doing}: its answer has more than ${limitBytes / 1024 / 1024} MiB.`,
    fix: 'Look what is so large in this namespace; Towpath does not read more at once.',
  });
}

/** A refusal, with the words of the API server: they name users, verbs and fields. */
export interface Refusal {
  readonly status: number;
  /** Such as `AlreadyExists`, `Conflict`, `Invalid`. */
  readonly reason: string;
  readonly message: string;
  /** Of a conflict: the managers that own a field, and which. */
  readonly conflicts: readonly { readonly field: string; readonly message: string }[];
}

/** What the API server refused. `refusal` tells programs what `what` tells people. */
export class KubernetesRefused extends KubernetesError {
  readonly refusal: Refusal;

  constructor(doing: string, refusal: Refusal) {
    const { code, fix } = remedyOf(refusal);
    super({ code, what: `The Kubernetes API could not ${doing}: ${refusal.message.replace(/\.$/, '')}.`, fix });
    this.refusal = refusal;
  }
}

function remedyOf({ status, conflicts }: Refusal): { readonly code: string; readonly fix: string } {
  if (status === 401)
    return {
      code: 'kubernetes.unauthorized',
      fix: 'The credential of the kubeconfig is not known there any more: renew it.',
    };
  if (status === 403)
    return {
      code: 'kubernetes.forbidden',
      fix: 'Give the user that it names this right, by a Role and a RoleBinding in this namespace.',
    };
  if (status === 404)
    return {
      code: 'kubernetes.not-found',
      fix: 'See that the namespace, and the kind with its version, are there in this cluster.',
    };
  if (status === 409 && conflicts.length > 0)
    return {
      code: 'kubernetes.conflict',
      fix: 'Somebody else manages these fields. Take them out of the manifests, or have the other give them up: `kubectl get -o yaml --show-managed-fields`.',
    };
  if (status === 409) return { code: 'kubernetes.changed', fix: 'Somebody changed it meanwhile: try again.' };
  if (status === 400 || status === 422)
    return {
      code: 'kubernetes.invalid',
      fix: 'Correct the manifest; `kubectl apply --server-side --dry-run=server` says the same.',
    };
  if (status >= 300 && status < 400)
    return { code: 'kubernetes.moved', fix: 'Give the address itself: no credential is sent on to another one.' };
  return { code: 'kubernetes.refused', fix: 'See the words of the API server, and its log.' };
}
