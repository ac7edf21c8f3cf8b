import { recordAudit } from '../../audit/audit-store.ts';
import { type RulingConfig, rulingConfig } from '../../config/config-store.ts';
import { TowpathError } from '../../lib/error.ts';
import { newId } from '../../lib/ids.ts';
import { addressesFor } from '../../notify/addresses.ts';
import { channelStates } from '../../notify/channel-state-store.ts';
import type { Message } from '../../notify/message.ts';
import type { EmailSettings } from '../../notify/messengers/email/email.ts';
import type { NotifyChannel } from '../../notify/notify-channel.ts';
import { testMessage } from '../../notify/plan-message.ts';
import type { Verdict } from '../../notify/verdict.ts';
import { once } from '../../store/once.ts';
import type { House } from '../house.ts';
import { send } from '../messages/deliver.ts';
import type { UseCases } from '../use-cases.ts';
import type { ProblemView } from '../view/project.ts';
import { projectNamed } from './project-named.ts';

/** Somebody waits for the answer; longer than one try takes. */
const TEST_MS = 60_000;

export function channelCases(house: House): UseCases['channels'] {
  const { store, clock } = house;
  return {
    async list(project) {
      const { id } = await projectNamed(store.db, project);
      const ruling = await rulingConfig(store.db, id);
      const states = await channelStates(store.db, id);
      const channels = Object.entries(ruling?.config.notify ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1));
      return channels.map(([name, { kind, about, environments }]) => {
        const state = states.get(name);
        const next = state?.nextAt?.getTime() ?? 0;
        return {
          name,
          kind,
          about,
          environments,
          toldAt: state?.toldAt?.toISOString() ?? null,
          waiting: state?.waiting ?? 0,
          until: next > clock.now() && state?.problem !== null ? new Date(next).toISOString() : null,
          givenUp: state?.givenUp ?? 0,
          problem: state?.problem ?? null,
        };
      });
    },
    async test(project, name, by) {
      const { id } = await projectNamed(store.db, project);
      const ruling = await rulingConfig(store.db, id);
      const channel = requireChannel(ruling, name);
      await once(store, (tx) =>
        recordAudit(tx, { actor: by, action: 'channel.test', subject: id, detail: { channel: name } }),
      );
      const message = testMessage(project, name, by, new Date(clock.now()), house.settings.page);
      const messageId = newId('msg');
      const signal = AbortSignal.timeout(TEST_MS);
      const means = { ...house.outgoing, now: () => clock.now(), secretOf: house.secretOf, signal };
      const results = await Promise.all(
        receiversOf(channel, ruling, message, by).map(async (receiver) => {
          const verdict = await send(channel, { messageId, message, receiver, mends: null }, means);
          return { receiver: receiver === '' ? null : receiver, problem: problemIn(verdict) };
        }),
      );
      return { channel: name, results };
    },
  };
}

function requireChannel(ruling: RulingConfig | null, name: string): NotifyChannel {
  const channels = ruling?.config.notify ?? {};
  const channel = Object.hasOwn(channels, name) ? channels[name] : undefined;
  if (channel !== undefined) return channel;
  const known = Object.keys(channels);
  throw new TowpathError({
    code: 'notify.unknown-channel',
    what: `The path of this project names no channel "${name}".`,
    fix:
      known.length === 0
        ? 'Write one under `notify` in the towpath.yaml of the default branch.'
        : `Name one of: ${known.join(', ')}.`,
  });
}

/** Authors and approvers are those of no message: whoever asks is written to in their place. */
function receiversOf(
  { kind, settings }: NotifyChannel,
  ruling: RulingConfig | null,
  message: Message,
  by: string,
): string[] {
  if (kind !== 'email' || ruling === null) return [''];
  const { to, strangers } = settings as EmailSettings;
  const fixed = to.filter((word) => word !== 'authors' && word !== 'approvers');
  const words = fixed.length < to.length ? [...fixed, by] : fixed;
  const found = addressesFor({ to: words, strangers }, message, ruling.config);
  if (found.length > 0) return found;
  throw new TowpathError({
    code: 'notify.no-receiver',
    what: `No address is known for ${words.join(', ')}.`,
    fix: `Say it under \`users\` in the towpath.yaml of the default branch: \`users: { ${by}: [address] }\`.`,
  });
}

function problemIn(verdict: Verdict): ProblemView | null {
  if (verdict.kind === 'taken') return null;
  if (verdict.kind !== 'wait') return verdict.problem;
  const until = new Date(verdict.untilMs).toISOString();
  return { code: 'notify.busy', what: `The receiver asks to be left alone until ${until}.`, fix: 'Try it then.' };
}
