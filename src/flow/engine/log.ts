import type { DLogger } from '@dbos-inc/dbos-sdk';

/** Takes what the engine has to say; `pino` fits by `(level, text) => logger[level](text)`. */
export type EngineLog = (level: 'debug' | 'info' | 'warn' | 'error', text: string) => void;

export const quiet: EngineLog = () => undefined;

export function engineLogger(log: EngineLog): DLogger {
  return {
    debug: (entry) => log('debug', textOf(entry)),
    info: (entry) => log('debug', textOf(entry)), // what the library tells of its start is of no use to a user
    warn: (entry) => log('warn', textOf(entry)),
    error: (entry) => log('error', textOf(entry)),
  };
}

function textOf(entry: unknown): string {
  if (entry instanceof Error) return entry.stack ?? entry.message;
  return typeof entry === 'string' ? entry : (JSON.stringify(entry) ?? String(entry));
}
