import { StoreError } from './error.ts';

/**
 * A database URL whose sessions begin with one more setting, beside those it names already.
 * @param setting `search_path=towpath`
 * @throws StoreError `store.url`; the URL is not shown, it may hold a password
 */
export function withSetting(url: string, setting: string): string {
  if (!URL.canParse(url)) {
    throw new StoreError({
      code: 'store.url',
      what: 'The database URL is not a URL.',
      fix: 'Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE.',
    });
  }
  const changed = new URL(url);
  const given = changed.searchParams.get('options');
  changed.searchParams.set('options', given === null ? `-c ${setting}` : `${given} -c ${setting}`);
  return changed.href;
}
