const SIGNS = { USD: { before: '$' }, GBP: { before: '£' } };

/** @param {number} cents @param {string} currency a code of ISO 4217 */
export function formatPrice(cents, currency) {
  return SIGNS[currency].before + (cents / 100).toFixed(2);
}
