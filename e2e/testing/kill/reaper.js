// Ends what a broken-off run of the kill suite leaves: servers, their proxies, Postgres and programs outlive who started them. It is
// told each data directory on its standard input, which the end of the run closes, however it ends. Plain JavaScript: it is not built.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const directories = (await text(process.stdin)).split('\n').filter((line) => line !== '' && existsSync(line));
// twice: a server that was ending may have started one more program
for (let round = 0; round < 2; round++) for (const directory of directories) endAllOf(directory);
for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });

/** Servers, proxies and Postgres have the directory in their arguments; programs carry a mark that ends in its hash. */
function endAllOf(directory) {
  const mark = `-${createHash('sha256').update(`${directory}/run/instances`).digest('hex').slice(0, 8)}`;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const marks = read(pid, 'environ').filter((pair) => pair.startsWith('TOWPATH_INSTANCE='));
    if (read(pid, 'cmdline').some((word) => word.startsWith(directory)) || marks.some((pair) => pair.endsWith(mark)))
      end(Number(pid));
  }
}

function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
  } catch {
    return []; // it has ended, or is not ours to look at
  }
}

function end(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}
