import { expect, test } from 'vitest';

import { hostOf } from './hosts.ts';
import { placeOf } from './repository-place.ts';

test.each([
  ['https://github.com/team/shop.git', null, 'github', 'https://api.github.com/repos/team/shop'],
  ['git@github.com:team/shop.git', null, 'github', 'https://api.github.com/repos/team/shop'],
  ['ssh://git@ssh.github.com:443/team/shop.git', null, 'github', 'https://api.github.com/repos/team/shop'],
  ['https://team.ghe.com/a/shop', null, 'github', 'https://api.team.ghe.com/repos/a/shop'],
  ['https://git.example:8443/a/shop.git', 'github', 'github', 'https://git.example:8443/api/v3/repos/a/shop'],
  ['https://gitlab.com/a/b/c/shop.git', null, 'gitlab', 'https://gitlab.com/api/v4/projects/a%2Fb%2Fc%2Fshop'],
  ['git@git.example:a/shop', 'gitlab', 'gitlab', 'https://git.example/api/v4/projects/a%2Fshop'],
  ['https://codeberg.org/a/shop.git', null, 'gitea', 'https://codeberg.org/api/v1/repos/a/shop'],
  ['https://bitbucket.org/a/shop.git', null, 'bitbucket', 'https://api.bitbucket.org/2.0/repositories/a/shop'],
  [
    'https://git.example/scm/shop/web.git',
    'bitbucket-dc',
    'bitbucket-dc',
    'https://git.example/rest/api/latest/projects/shop/repos/web',
  ],
  [
    'https://git.example/code/scm/~ana/web.git',
    'bitbucket-dc',
    'bitbucket-dc',
    'https://git.example/code/rest/api/latest/projects/~ana/repos/web',
  ],
  [
    'ssh://git@git.example:7999/shop/web.git',
    'bitbucket-dc',
    'bitbucket-dc',
    'https://git.example/rest/api/latest/projects/shop/repos/web',
  ],
  ['https://git.example/a/shop', null, 'plain', null],
  ['https://github.com.example/a/shop', null, 'plain', null],
  ['file:///srv/shop.git', null, 'plain', null],
  ['https://github.com/a/shop', 'plain', 'plain', null],
  ['https://github.com/a/shop', 'of a later version', 'github', 'https://api.github.com/repos/a/shop'],
])('%s (%s) is on %s', (url, named, name, address) => {
  const host = hostOf(url, named);
  expect(host.name).toBe(name);
  const place = placeOf(url);
  const found = place === null || host.api === null ? null : `${host.api.base(place)}${host.api.repository(place)}`;
  expect(found).toBe(address);
});
