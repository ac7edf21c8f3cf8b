// A process that supervises the Postgres of a folder until its input ends: the tests kill it.
import { startEmbeddedPostgres } from '../postgres.ts';

const directory = process.argv[2] ?? '';
const postgres = await startEmbeddedPostgres({ directory, durable: false });
process.stdout.write(`ready ${postgres.url}\n`);
process.stdin.resume();
process.stdin.on('end', () => {
  void postgres.stop().then(() => process.exit(0));
});
