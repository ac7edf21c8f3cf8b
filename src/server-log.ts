import { type Logger, pino } from 'pino';

/** What is kept for a log that takes nothing; what comes beyond it is left out. */
const KEPT_BYTES = 1024 * 1024;

/**
 * The log of a server. A disk that is full under it (or a reader that has gone) ends no server: lines are kept, within
 * limits, and written when there is space again.
 * @param fd default: standard error
 */
export function createServerLog(fd = 2): Logger {
  const output = pino.destination({ dest: fd, sync: true, maxLength: KEPT_BYTES });
  output.on('error', () => undefined); // without a listener it would end the process
  return pino({ level: 'warn' }, output);
}
