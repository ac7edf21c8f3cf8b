/** The words that people have for sorts of tests. They say what a check is for; nothing is decided by them. */
export const CHECK_TYPES = [
  'unit',
  'integration',
  'functional',
  'contract',
  'end-to-end',
  'acceptance',
  'performance',
  'security',
  'smoke',
] as const;

export type CheckType = (typeof CHECK_TYPES)[number];

/** What the check says itself, else what its name says. */
export function typeOf(name: string, { type }: { readonly type: CheckType | null }): CheckType | null {
  return type ?? (name === 'e2e' ? 'end-to-end' : (CHECK_TYPES.find((word) => word === name) ?? null));
}

/** As it was recorded; a word that a newer server knows is none here. */
export function wordOf(text: string | null): CheckType | null {
  return CHECK_TYPES.find((word) => word === text) ?? null;
}

/** `checkout (end-to-end)`; a name that says it already stays alone. */
export function checkTitle(check: string, type: CheckType | null): string {
  return type === null || typeOf(check, { type: null }) === type ? check : `${check} (${type})`;
}
