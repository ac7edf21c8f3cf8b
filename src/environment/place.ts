/**
 * Each repository of a project goes its own way through the environments: the home repository's releases run in `qa`, those
 * of its member `api` in `qa.api`. No name of people holds a dot.
 * @param member null for the home repository
 */
export function placeName(environment: string, member: string | null): string {
  return member === null ? environment : `${environment}.${member}`;
}

/** The environment of towpath.yaml that a place belongs to. */
export function environmentOf(place: string): string {
  return place.split('.', 1)[0] ?? place;
}
