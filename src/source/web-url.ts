import { placeOf } from './repository-place.ts';

/** Where the host of a repository speaks HTTP about it, however git reaches it; a folder of this machine stays as it is. */
export function webUrlOf(url: string): string {
  const place = /^https?:/.test(url) ? null : placeOf(url);
  return place === null ? url : `${place.origin}/${encodeURI(place.path)}`;
}
