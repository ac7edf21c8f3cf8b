/** Far beyond what people keep; what is larger is generated, or made to exhaust the reader. */
export const LIMITS = {
  fileBytes: 1024 * 1024,
  bytes: 16 * 1024 * 1024,
  files: 2000,
  objects: 500,
  /** How often one document may use anchors. */
  aliases: 100,
} as const;
