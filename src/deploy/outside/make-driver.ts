import type { DeployDriver } from '../driver.ts';
import { invalid } from './driver-error.ts';
import type { DriverModule, DriverTools, DriverWork } from './driver-module.ts';

const METHODS = ['plan', 'apply', 'observe', 'destroy'] as const;

/** A driver of somebody else as a server uses it. @throws DriverError `driver.invalid`, when it is not as it says of itself */
export function makeDriver<Config>(module: DriverModule<Config>, tools: DriverTools): DeployDriver<Config> {
  const { name, config, lacks } = module;
  const work = module.make(tools);
  const wrong = wrongIn(work, lacks);
  if (wrong !== null) throw invalid(`The driver ${name}`, wrong);
  const { jobs } = work;
  return {
    name,
    config,
    lacks,
    plan: (desired, observed) => work.plan(desired, observed),
    apply: (desired, actions, context) => work.apply(desired, actions, context),
    observe: (target) => work.observe(target),
    destroy: (target, context) => work.destroy(target, context),
    ...(jobs === undefined ? {} : { jobs }),
    ...(work.handOver === undefined ? {} : { handOver: work.handOver.bind(work) }),
    ...(work.output === undefined ? {} : { output: work.output.bind(work) }),
  };
}

function wrongIn(work: DriverWork, lacks: DriverModule['lacks']): string | null {
  const missing = METHODS.find((method) => typeof work?.[method] !== 'function');
  if (missing !== undefined) return `what \`make\` gives has no \`${missing}\``;
  for (const part of ['output', 'jobs'] as const) {
    const has = work[part] !== undefined;
    if (has === lacks.includes(part))
      return has
        ? `it has \`${part}\`, and says that it lacks it`
        : `it has no \`${part}\`, and does not say that it lacks it`;
  }
  return null;
}
