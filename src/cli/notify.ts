import type { ChannelTestView, ChannelView } from '../flow/view/channel.ts';
import { EXIT } from './exit.ts';
import { ago, table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const notify: Verb = (program, run) => {
  const group = program.command('notify').description('channels by which people are told: list, test');

  group
    .command('list')
    .description('each channel: when it told something last, what waits, and what stands in the way')
    .addHelpText('after', needs('channel.list'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        const answer = await (await context.client()).call('channel.list', { params });
        context.out.data(answer, (channels) => listText(channels, context.io.clock.now()));
        return EXIT.ok;
      }),
    );

  group
    .command('test')
    .description('send a message that says it is a test, and tell what became of it')
    .argument('<channel>', 'its name under `notify` in towpath.yaml')
    .addHelpText('after', needs('channel.test'))
    .action(
      run(async (context, _options, channel = '') => {
        const params = { project: await context.project(), channel };
        const answer = await (await context.client()).call('channel.test', { params });
        context.out.data(answer, testText);
        return answer.results.every(({ problem }) => problem === null) ? EXIT.ok : EXIT.failed;
      }),
    );
};

function listText(channels: readonly ChannelView[], now: number): string {
  if (channels.length === 0) return 'towpath.yaml names no channel under `notify`.';
  return table(
    channels.map(({ name, kind, toldAt, waiting, givenUp, problem, until }) => [
      name,
      kind,
      toldAt === null ? 'told nothing yet' : `told something ${ago(toldAt, now)}`,
      [
        ...(waiting === 0 ? [] : [`${waiting} to be told${until === null ? '' : `, tried again at ${until}`}`]),
        ...(givenUp === 0 ? [] : [`${givenUp} given up`]),
        ...(problem === null ? [] : [`${problem.what} ${problem.fix}`]),
      ].join('; '),
    ]),
  );
}

function testText({ channel, results }: ChannelTestView): string {
  return results
    .map(({ receiver, problem }) => {
      const whom = receiver === null ? channel : `${channel}, ${receiver}`;
      return problem === null ? `${whom}: taken.` : `${whom}: ${problem.what} ${problem.fix}`;
    })
    .join('\n');
}
