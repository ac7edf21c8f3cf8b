import { createBell } from '../lib/bell.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { matrixText } from './matrix-text.ts';
import { needs, type Verb } from './verb.ts';
import { ring } from './wait.ts';

const RECHECK_MS = 10_000;

export const status: Verb = (program, run) => {
  program
    .command('status')
    .description('show what runs where, what waits and what is held')
    .option('--watch', 'again at every change, until Ctrl-C')
    .addHelpText('after', needs('matrix.read'))
    .action(
      run<{ watch?: boolean }>(async (context, { watch = false }) => {
        if (watch) await keepShowing(context);
        else await show(context);
        return EXIT.ok;
      }),
    );
};

async function show(context: Context): Promise<void> {
  const { out } = context;
  out.data(await matrix(context), (view) => matrixText(view, out.paint));
}

async function keepShowing(context: Context): Promise<void> {
  const { io, out } = context;
  const bell = createBell(io.signal);
  void ring(await context.client(), context.namedProject(), bell.ring, io.signal);
  let last = '';
  while (!io.signal.aborted) {
    const { at, ...view } = await matrix(context);
    const shown = JSON.stringify(view);
    if (shown !== last && io.stdout.isTTY && !out.json) io.stdout.write('\u001b[H\u001b[2J');
    if (shown !== last) out.line({ at, ...view }, (answer) => matrixText(answer, out.paint));
    last = shown;
    await bell.wait(RECHECK_MS);
  }
}

async function matrix(context: Context) {
  const project = context.namedProject();
  return (await context.client()).call('matrix.read', { query: project === undefined ? {} : { project } });
}
