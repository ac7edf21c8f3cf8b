/** What the shop takes for each thing. @param {string} shop the address of web @returns cents of each */
export async function pricesOf(shop) {
  const response = await fetch(new URL('/prices', shop));
  if (!response.ok) throw new Error(`The shop answered ${response.status}`);
  return response.json();
}
