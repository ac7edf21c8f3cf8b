/** True for what every store and program takes as a text: no NUL (Postgres and argument lists have none), no half of a surrogate pair. */
export function isSoundText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
