import { join } from 'node:path';

import { type Action, defineDriver, type Desired, type Observed } from 'towpath';
import { z } from 'zod';

import { placeOf } from './place.js';

/**
 * What an environment says under `deploy: { files: { ... } }`. It comes from a repository: so it names no place on this machine,
 * which would be to let whoever may push there write anywhere.
 */
const Config = z.strictObject({
  host: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, 'the name of a machine')
    .default('any')
    .describe('The machine that shall run it, for the program there that reads the files'),
});
type Config = z.infer<typeof Config>;

type FilesAction = Action & { readonly kind: 'write' | 'switch' | 'tidy' };

/**
 * Writes each release into files below a folder, from which a program of yours (on a machine that the server cannot reach, say) runs
 * it. Nobody tells what became of that, so it says that it lacks nearly everything: promotions are *committed, not observed*.
 */
export default defineDriver<Config, FilesAction>({
  api: 1,
  name: 'files',
  config: Config,
  lacks: ['replicas', 'settings', 'addresses', 'output', 'end', 'jobs', 'isolation'],
  make({ directory, claim, forget }) {
    const root = join(directory, 'environments');
    return {
      plan,
      async apply(desired, actions, { log, signal, token }) {
        const { target, config, operation, services } = desired;
        const place = placeOf(root, target);
        for (const action of actions) {
          signal.throwIfAborted();
          await claim(target, token); // somebody newer may have come meanwhile
          log(action.summary);
          const wanted = services.find(({ service }) => service === action.service);
          if (action.kind === 'write' && wanted !== undefined) {
            const { service, image, digest, replicas, command, port } = wanted;
            await place.write({
              service,
              host: config.host,
              image,
              digest,
              operation,
              replicas,
              ...(command === undefined ? {} : { command: [...command] }),
              ...(port === undefined ? {} : { port }),
            });
          }
          if (action.kind === 'switch')
            await place.switchTo(
              operation,
              services.map(({ service }) => service),
            );
          if (action.kind === 'tidy') await place.tidy();
        }
      },
      async observe(target) {
        const place = placeOf(root, target);
        const files = await place.read();
        return {
          services: Object.fromEntries(
            files.map(({ service, digest, operation }) => [
              service,
              { replicas: [], written: [{ place: join(place.folder, 'current'), digest, operation }] },
            ]),
          ),
        };
      },
      async destroy(target, { log, token }) {
        await claim(target, token);
        await placeOf(root, target).remove();
        await forget(target, token);
        log('its files are gone; what was started from them is not known here');
      },
    };
  },
});

/** Pure: the same wish over the same sight gives the same steps, and none where all stands as wished. */
function plan({ services, operation }: Desired<Config>, observed: Observed): FilesAction[] {
  const names = services.map(({ service }) => service);
  const stands = services.every(({ service, digest }) =>
    observed.services[service]?.written?.some((one) => one.digest === digest && one.operation === operation),
  );
  if (stands && Object.keys(observed.services).length === names.length) return [];
  return [
    ...services.map(({ service, digest }): FilesAction => ({
      kind: 'write',
      service,
      summary: `write that ${service} is to run ${digest.slice(0, 19)}`,
    })),
    { kind: 'switch', summary: `make it what runs: ${names.join(', ')}` },
    { kind: 'tidy', summary: 'remove the files of other releases' },
  ];
}
