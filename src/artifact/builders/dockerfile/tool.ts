import type { SourceTree } from '../../../git/tree.ts';
import type { Digest } from '../../../lib/digest.ts';
import type { LogLine } from '../../../lib/log.ts';
import type { PinnedImage } from './dockerfile.ts';

/** A program of the machine that runs Dockerfiles. */
export interface DockerfileTool {
  readonly name: 'docker' | 'buildah';
  /** Builds and pushes. @returns the digest under which the registry has the image */
  build(request: ToolRequest): Promise<Digest>;
}

export interface ToolRequest {
  readonly context: SourceTree;
  /** Path of the Dockerfile within the context, and its text with every outside image pinned. */
  readonly dockerfile: { readonly path: string; readonly text: string };
  readonly bases: readonly PinnedImage[];
  readonly args: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly platform: string;
  /** `host/repository` */
  readonly to: string;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}
