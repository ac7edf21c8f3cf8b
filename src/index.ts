/** The public door for authors of drivers. */
export type {
  Action,
  ApplyContext,
  DeployDriver,
  Desired,
  DesiredService,
  HealthProbe,
  Job,
  JobEnd,
  Jobs,
  Observed,
  OutputPart,
  OutputQuestion,
  Replica,
  SourceFiles,
  Target,
  Told,
  Written,
} from './deploy/driver.ts';
export {
  defineDriver,
  DRIVER_API,
  type DriverModule,
  type DriverTools,
  type DriverWork,
  type RegistryCredentials,
} from './deploy/outside/driver-module.ts';
export type { DriverStatement, Lack } from './deploy/statement.ts';
export type { Digest } from './lib/digest.ts';
export { TowpathError, type Problem } from './lib/error.ts';
export type { LogLine } from './lib/log.ts';
