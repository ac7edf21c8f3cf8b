/**
 * The tag that keeps a release's image for an environment's rollback window: registries clean what has no tag, and a
 * retag does not make an image younger.
 */
export function keepTag(environmentSlug: string, releaseNumber: number): string {
  return `keep-${environmentSlug}-${releaseNumber}`;
}

/** @returns null for every other tag */
export function parseKeepTag(tag: string): { readonly slug: string; readonly release: number } | null {
  const [, slug, release] = /^keep-(.+)-(\d+)$/.exec(tag) ?? [];
  return slug === undefined ? null : { slug, release: Number(release) };
}
