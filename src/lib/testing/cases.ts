/** How many cases a property is asked with: `count` in `make test`, many times that in `make fuzz`. */
export function cases(count: number): { readonly numRuns: number } {
  return { numRuns: count * Number(process.env['TOWPATH_FUZZ'] ?? '1') };
}
