import { expect, test } from 'vitest';

import { settingsOf } from './server-settings.ts';

test('a setting that is no number stops the start, and does not mean the default', () => {
  expect(settingsOf({ TOWPATH_POLL_MS: '500', TOWPATH_ARTIFACT_DAYS: '' })).toMatchObject({ pollEveryMs: 500 });
  for (const value of ['abc', '-1', '0', '1h'])
    expect(() => settingsOf({ TOWPATH_POLL_MS: value })).toThrow(
      expect.objectContaining({ code: 'server.setting-invalid', what: expect.stringContaining('TOWPATH_POLL_MS is') }),
    );
});
