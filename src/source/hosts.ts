import type { SourceHost } from './host.ts';
import { plain } from './hosts/plain/plain.ts';

/** The family of git hosts, most particular first. */
export const hosts: readonly SourceHost[] = [plain];
