import { expect, test } from 'vitest';

import { testServer } from './testing/server.ts';

test('what a check left is saved and never shown in the origin of the page, but for plain pictures', async () => {
  const house = await testServer();
  const { server } = house;
  const headers = { authorization: `Bearer ${await house.token('viewer')}` };
  const file = (path: string) =>
    server.inject({
      url: `/api/v1/projects/shop/evidence/evi_1/file?path=${encodeURIComponent(path)}`,
      headers,
    });
  const page = await file('report/index.html');
  expect(page.statusCode).toBe(200);
  expect(page.body).toBe('<script></script>');
  expect(page.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-length': '17',
    'content-disposition': 'attachment; filename="index.html"; filename*=UTF-8\'\'index.html',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
  });
  expect((await file('shots/ä 1.png')).headers).toMatchObject({
    'content-type': 'image/png',
    'content-disposition': 'inline',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
  });
  expect((await file('shots/old.svg')).headers['content-disposition']).toMatch(/^attachment/);
  expect((await file('../../etc/passwd')).statusCode).toBe(404);
  await server.close();
});
