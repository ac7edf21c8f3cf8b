/** How many cases a property is asked with: `count` in `make test`, many times that in `make fuzz`. */
export function cases(count: number): { readonly numRuns: number } {
  return { numRuns: count * TIMES };
}

/** How long a test of such cases may take, in milliseconds: `ms` in `make test`, as many times that as there are cases in `make fuzz`. */
export function within(ms: number): number {
  return ms * TIMES;
}

const TIMES = Number(process.env['TOWPATH_FUZZ'] ?? '1');
