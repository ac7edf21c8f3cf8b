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

/** The member whose releases run there; null for the home repository. */
export function memberOf(place: string): string | null {
  return place === environmentOf(place) ? null : place.slice(environmentOf(place).length + 1);
}

/** What the home's own place may be called where the name of the environment means those of all repositories. */
export const HOME = 'home';

/** `qa.home` is what is stored as `qa`. */
export function storedName(place: string): string {
  return place.endsWith(`.${HOME}`) ? place.slice(0, -HOME.length - 1) : place;
}

/** A name that means one place, whatever repositories the project has. */
export function exactName(place: string): string {
  return placeName(environmentOf(place), memberOf(place) ?? HOME);
}
