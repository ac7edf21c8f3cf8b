/**
 * How OSV calls the distribution of an image: `Debian:12`, `Alpine:v3.20`, `Ubuntu:22.04:LTS`. One that it does not know, or
 * that says nothing of itself, has a name of which no database has anything: so nothing is found to be well.
 * @param release what stands in `os-release`
 * @see https://www.freedesktop.org/software/systemd/man/os-release.html
 */
export function distributionOf(release: string | undefined): string {
  const field = (name: string): string =>
    new RegExp(`^${name}=(["']?)(.*)\\1\\s*$`, 'm').exec(release ?? '')?.[2] ?? '';
  const [id, version] = [field('ID'), field('VERSION_ID')];
  switch (id) {
    case 'debian':
      return version === '' ? 'Debian' : `Debian:${version}`;
    case 'ubuntu':
      return `Ubuntu:${version}${/LTS/.test(field('VERSION')) ? ':LTS' : ''}`;
    case 'alpine':
      return `Alpine:v${version.split('.').slice(0, 2).join('.')}`;
    case 'wolfi':
      return 'Wolfi';
    case 'chainguard':
      return 'Chainguard';
    default:
      return id === '' ? 'an unnamed Linux' : `${id} ${version}`.trim();
  }
}
