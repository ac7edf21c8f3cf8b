import { PROJECT, type Stage } from './stage.ts';
import { arriveKnown, finished, isOver, program, pushed, resume } from './operations.ts';
import { setRafts } from './rafts.ts';

const CONFIG = `project: ${PROJECT}
services:
  web:
    path: web
    build: { node: { start: main.js } }
    port: 3000
    health: { path: /, interval: 50ms }
    checks:
      unit: { run: node --check main.js, during: build }
      start: { run: node --check main.js }
      smoke: { http: { path: /smoke, attempts: 2, interval: 50ms } }
environments:
  preview:
    on: { branch: 'feature/*' }
    ephemeral: { ttl: 1d }
    accepts: any
    deploy: process
    settle: 100ms
  qa:
    on: { merge: main }
    gates: [start]
    deploy: process
    settle: 100ms
    verify: [smoke]
yank: { delete: true }
`;

/**
 * A project whose qa has run two releases and given a third one back: the ground on which all operations stand. What
 * they bring in is built here, so that few of them build.
 */
export async function setScene(stage: Stage): Promise<void> {
  const { repository } = stage;
  const first = await repository.commit('even', { 'towpath.yaml': CONFIG, 'web/main.js': program(stage, 'even') });
  await stage.client().call('project.add', { body: { url: repository.url } });
  await finished(stage, () => isOver(stage, 'qa', first));
  const broken = await pushed(stage, 'broken');
  await finished(stage, () => isOver(stage, 'qa', broken));
  await resume(stage);
  await finished(stage, await arriveKnown.perform(stage));
  await setRafts(stage);
}
