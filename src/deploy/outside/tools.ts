import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { redact } from '../../secret/redact.ts';
import { fileLedger } from '../ledger-store.ts';
import type { DriverTools } from './driver-module.ts';

/** @param parts.directory is made; it belongs to the driver alone */
export function driverTools(parts: Pick<DriverTools, 'directory' | 'secretOf' | 'credentials'>): DriverTools {
  mkdirSync(parts.directory, { recursive: true, mode: 0o700 });
  const fence = fileLedger(join(parts.directory, '.fence'));
  return {
    ...parts,
    redact,
    claim: (target, token) => fence.claim(target, token),
    forget: (target, token) => fence.forget(target, token),
  };
}
