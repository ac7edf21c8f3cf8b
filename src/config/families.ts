import { builders } from '../artifact/builders.ts';
import { checks } from '../check/checks.ts';
import { drivers } from '../deploy/drivers.ts';
import type { DriverStatement } from '../deploy/statement.ts';
import type { Families } from './config.ts';

/** The plug-ins of this version, whatever a machine can run of them: what towpath.yaml may say. */
export const families: Families = { builders, drivers, checks };

/** With drivers that whoever runs the server brought. */
export function familiesWith(more: readonly DriverStatement[]): Families {
  return more.length === 0 ? families : { ...families, drivers: [...drivers, ...more] };
}
