/** The file's own name, at the root of the repository. */
export const CONFIG_FILE = 'towpath.yaml';
