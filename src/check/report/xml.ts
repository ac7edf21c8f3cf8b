import { SaxesParser } from 'saxes';

import { ReportFault, slicesOf } from './report.ts';

export type Attributes = Readonly<Record<string, string>>;

export interface XmlReader {
  /** @param above the names of the elements around it, the outermost first */
  open(name: string, attributes: Attributes, above: readonly string[]): void;
  close?(name: string): void;
  /** Text and CDATA, in pieces. */
  text?(piece: string): void;
}

const DEEPEST = 64;

/**
 * Reads XML from its beginning to its end without making a tree of it. A DOCTYPE may name a file, which is not looked
 * at; one with declarations of its own is refused, so there are no entities to grow.
 * @throws ReportFault
 */
export async function readXml(text: string, reader: XmlReader): Promise<void> {
  const above: string[] = [];
  const parser = new SaxesParser();
  parser.on('error', () => {
    throw new ReportFault('is not XML');
  });
  parser.on('doctype', (doctype) => {
    if (doctype.includes('[')) throw new ReportFault('has a DOCTYPE with declarations');
  });
  parser.on('opentag', ({ name, attributes }) => {
    if (above.length === DEEPEST) throw new ReportFault('is not XML that people write: it is nested too deeply');
    reader.open(name, attributes, above);
    above.push(name);
  });
  parser.on('closetag', ({ name }) => {
    above.pop();
    reader.close?.(name);
  });
  parser.on('text', (piece) => reader.text?.(piece));
  parser.on('cdata', (piece) => reader.text?.(piece));
  for await (const slice of slicesOf(text)) parser.write(slice);
  parser.close();
}
