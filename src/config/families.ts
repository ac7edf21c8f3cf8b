import { builders } from '../artifact/builders.ts';
import { checks } from '../check/checks.ts';
import { drivers } from '../deploy/drivers.ts';
import type { Families } from './config.ts';

/** The plug-ins of this version, whatever a machine can run of them: what towpath.yaml may say. */
export const families: Families = { builders, drivers, checks };
