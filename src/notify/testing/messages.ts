import type { Message } from '../message.ts';

/** Of a release that broke an environment. */
export const broke: Message = {
  topic: 'rolled-back',
  project: 'shop',
  at: '2026-11-29T12:00:00.000Z',
  title: '[shop] qa: release 4f2a91c failed and was rolled back',
  what: 'Failed at verifying: the smoke check <b>did not</b> pass. Rolled back to release #1.',
  fix: 'Push a fix.',
  release: { number: 2, name: '4f2a91c', commit: '4f2a91c'.padEnd(40, '0') },
  place: { environment: 'qa', preview: false, branches: [], ofStrangers: false },
  commits: {
    since: '1111111',
    newest: [{ sha: '4f2a91c'.padEnd(40, '0'), subject: 'Faster', author: { name: 'Ada', email: 'ada@shop.test' } }],
    more: 0,
  },
  approvers: [],
  url: 'https://towpath.example/#project=shop&why=promotion+2',
};
