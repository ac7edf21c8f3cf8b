/** @param {number} cents @param {string} currency a code of ISO 4217 */
export function formatPrice(cents, currency) {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).format(cents / 100);
}
