import { LocalConfig } from '../local.ts';
import type { DriverStatement } from '../statement.ts';

export const processStatement: DriverStatement<LocalConfig> = {
  name: 'process',
  config: LocalConfig,
  lacks: ['isolation'],
};
