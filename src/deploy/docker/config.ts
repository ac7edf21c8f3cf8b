import { LocalConfig } from '../local.ts';
import type { DriverStatement } from '../statement.ts';

export const dockerStatement: DriverStatement<LocalConfig> = { name: 'docker', config: LocalConfig, lacks: [] };
