const SMALL = 150;
const LARGE = 400;

/** What it costs to wrap so many things. @param {number} count @returns cents */
export function wrapping(count) {
  if (count < 1) return 0;
  if (count <= 5) return SMALL;
  const boxes = Math.ceil(count / 20);
  return LARGE * boxes;
}
