/** The path of a program; or what stands in the way. */
export function findRustProgram(
  name: 's3s-fs',
): { readonly path: string; readonly missing?: undefined } | { readonly path?: undefined; readonly missing: string };
