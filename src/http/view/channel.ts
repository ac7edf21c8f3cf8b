import { z } from 'zod';

import type { ChannelTestView, ChannelView } from '../../flow/view/channel.ts';
import { Problem } from './problem.ts';
import { Instant, listOf, view } from './view.ts';

export const Channel = view<ChannelView>()('Channel', {
  name: z.string(),
  kind: z.string(),
  about: listOf(z.string()),
  environments: listOf(z.string()).nullable().describe('Null: all that are no previews'),
  toldAt: Instant.nullable(),
  waiting: z.number().int().describe('How many messages are to be told still'),
  until: Instant.nullable().describe('Until when nothing is sent'),
  givenUp: z.number().int().describe('How many were given up, of those that are remembered'),
  problem: Problem.nullable().describe('What stands in the way, as of the last try'),
});

export const ChannelTest = view<ChannelTestView>()('ChannelTest', {
  channel: z.string(),
  results: listOf(z.object({ receiver: z.string().nullable(), problem: Problem.nullable() })),
});
