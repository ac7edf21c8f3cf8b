import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import type { DriverTools } from '../outside/driver-module.ts';
import { driverTools } from '../outside/tools.ts';
import { CANARY } from './rollouts.ts';

/** What a server lends to a driver, for its test: the secret of the kit is there, and the registry is open to all. */
export function testTools(directory: string): DriverTools {
  const secrets = secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]);
  return driverTools({
    directory,
    secretOf: (reference) => secrets.resolve(reference),
    credentials: () => Promise.resolve(null),
  });
}
