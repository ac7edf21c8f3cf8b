import { createEmbeddedRegistry } from '../embedded.ts';
import { A_DAY_AGO, nothing } from './age.ts';

/** Sweeps, and kills itself in the midst of it, after so many turns of the event loop: `sweeper.ts <directory> <turns>`. */
const [directory = '', turns = ''] = process.argv.slice(2);
const embedded = await createEmbeddedRegistry({ directory, host: 'localhost' });
let left = Number(turns);
const turn = (): void => {
  if (left-- > 0) setImmediate(turn);
  else process.kill(process.pid, 'SIGKILL');
};
turn();
for (;;) {
  const { files } = await embedded.sweepContent({ kept: nothing(), beforeMs: A_DAY_AGO() });
  process.stdout.write(`swept ${files}\n`);
}
