import { withFileLock } from '../file-lock.ts';
import { openMirror } from '../mirror.ts';

/** A process of its own for tests: `fetch <url> <directory>` fetches a mirror; `hold <file>` keeps a lock until it is killed. */
const [task, first = '', second = ''] = process.argv.slice(2);
if (task === 'fetch') {
  const mirror = await openMirror({ url: first, directory: second, allow: ['http'] });
  process.stdout.write('ready\n');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  await mirror.fetch();
  process.stdout.write(`refs ${(await mirror.refs()).length}\n`);
  mirror.close();
  process.exit(0);
}
await withFileLock(first, () => {
  process.stdout.write('held\n');
  return new Promise(() => setInterval(() => undefined, 60_000));
});
