import { z } from 'zod';

import { listOf } from '../lib/fields.ts';
import { slugOf } from '../lib/slug.ts';
import { compileGlob } from '../lib/glob.ts';
import { type Message, TOPICS, type Topic } from './message.ts';
import { messengerOf, messengers } from './messengers.ts';

/** An entry under `notify` in `towpath.yaml`: who is told, and of what. */
export interface NotifyChannel {
  /** Of the messenger. */
  readonly kind: string;
  readonly settings: unknown;
  /** Null: those that stay, and no previews. */
  readonly environments: readonly string[] | null;
  /** Globs; null: the default branch. */
  readonly branches: readonly string[] | null;
  readonly about: readonly Topic[];
}

const kinds = messengers.map(({ name }) => name);

export const notifyChannelSchema = z
  .strictObject({
    ...Object.fromEntries(messengers.map(({ name, config }) => [name, config.optional()])),
    environments: listOf(z.string())
      .optional()
      .describe('Only of these environments, previews too where they are named; else of all that are no previews'),
    branches: listOf(z.string().min(1, 'the name of a branch, or a glob'))
      .optional()
      .describe('Builds of which branches are told; else those of the default branch'),
    about: listOf(z.enum(TOPICS)).optional().describe('Only of these; else of all'),
  })
  .refine((entry) => kinds.filter((kind) => kind in entry).length === 1, `exactly one of ${kinds.join(', ')}`)
  .refine((entry) => !('about' in entry) || !kinds.some((kind) => kind in entry && isOfEvents({ kind })), {
    path: ['about'],
    message: 'nothing here: programs are told each event',
  })
  .transform(({ environments, branches, about, ...rest }): NotifyChannel => {
    const [kind = '', settings] = Object.entries(rest).find(([, value]) => value !== undefined) ?? [];
    return { kind, settings, environments: environments ?? null, branches: branches ?? null, about: about ?? TOPICS };
  });

/** Whether a channel wants to be told. */
export function wants(channel: NotifyChannel, { topic, place }: Message, defaultBranch: string): boolean {
  if (topic === 'test') return true;
  if ((topic === 'event') !== isOfEvents(channel)) return false;
  if (topic !== 'event' && !channel.about.includes(topic)) return false;
  if (place.branches.length > 0) {
    const globs = channel.branches ?? [defaultBranch];
    return globs.some((glob) => {
      const matches = compileGlob(glob, 'name');
      return place.branches.some((branch) => matches(branch));
    });
  }
  if (place.environment === null) return true;
  const { environments } = channel;
  if (environments === null) return !place.preview;
  return [place.environment, ...(place.beside ?? [])].some((name) => environments.includes(name));
}

/** Whether programs follow the delivery by it. */
export function isOfEvents({ kind }: Pick<NotifyChannel, 'kind'>): boolean {
  return messengerOf(kind)?.ofEvents === true;
}

/** The environment of `towpath.yaml` that a place is: a preview is one of its template. */
export function templateOf(place: string, previewBranch: string | null): string {
  return previewBranch === null ? place : place.replace(new RegExp(`-${slugOf(previewBranch)}$`), '');
}
