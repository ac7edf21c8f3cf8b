import { builders } from '../artifact/builders.ts';
import { checks } from '../check/checks.ts';
import { driverConfigs, imagesOnlyDrivers, isolatingDrivers, jobDrivers } from '../deploy/drivers.ts';
import type { Families } from './config.ts';

/** The plug-ins of this version, whatever a machine can run of them: what towpath.yaml may say. */
export const families: Families = {
  builders,
  drivers: Object.entries(driverConfigs).map(([name, config]) => ({
    name,
    config,
    isolates: isolatingDrivers.includes(name),
    imagesOnly: imagesOnlyDrivers.includes(name),
    runsJobs: jobDrivers.includes(name),
  })),
  checks,
};
