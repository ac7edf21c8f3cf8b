/** An entry of a tree object, and where its id stands in the bytes. */
interface Spot {
  /** As it is written: `100644`, `40000`, `120000`, `160000`. */
  readonly mode: string;
  readonly oid: string;
  readonly at: number;
}

/** Finds one entry of a tree object. @returns null when it has none of that name */
export function spotIn(tree: Buffer, name: string, oidBytes: number): Spot | null {
  const wanted = Buffer.from(name);
  for (let at = 0; at < tree.length;) {
    const space = tree.indexOf(32, at);
    const nul = tree.indexOf(0, space);
    if (space < 0 || nul < 0) return null;
    if (tree.subarray(space + 1, nul).equals(wanted))
      return {
        mode: tree.toString('latin1', at, space),
        oid: tree.toString('hex', nul + 1, nul + 1 + oidBytes),
        at: nul + 1,
      };
    at = nul + 1 + oidBytes;
  }
  return null;
}

/** The tree with another object at that place; modes, names and order stay as they are, however old git wrote them. */
export function withOid(tree: Buffer, { at }: Pick<Spot, 'at'>, oid: string): Buffer {
  const copy = Buffer.from(tree);
  copy.write(oid, at, 'hex');
  return copy;
}
