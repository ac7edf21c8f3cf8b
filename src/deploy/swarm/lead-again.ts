import type { DockerEngine } from '../../container/docker/engine.ts';
import { hasCode } from '../../lib/error.ts';
import type { Cutover } from '../local-observer.ts';
import { tokenSeen } from './claim.ts';
import { lookAt } from './look.ts';
import { LABEL } from './names.ts';
import { upstreamsOf } from './rollout.ts';
import { isMoving } from './verdict.ts';

/**
 * Leads the addresses of this machine to where the tasks are now: Swarm begins a task again that ended, or whose node is gone, by
 * itself, and then its port is another one. It compares what is with what should be, so it may run at any time. What Swarm moves, and a
 * port that no route has yet, are the rollout's to lead.
 * @param installation whose services they are
 */
export async function leadAgain(engine: DockerEngine, cutover: Cutover, installation: string): Promise<void> {
  const now = await lookAt(engine, [`${LABEL.installation}=${installation}`]);
  for (const seen of now.services) {
    const owner = seen.of.Spec.Labels[LABEL.target] ?? '';
    const route = (await cutover.routes(owner)).find(({ service }) => service === seen.name);
    if (seen.publish !== 'proxy' || route === undefined || isMoving(seen)) continue;
    const upstreams = upstreamsOf(seen, now);
    if (upstreams.length === 0 || JSON.stringify(upstreams) === JSON.stringify(route.upstreams)) continue;
    const token = await tokenSeen(engine, owner, installation);
    try {
      await cutover.route({ ...route, owner, upstreams, token });
    } catch (error) {
      if (!hasCode(error, 'deploy.fenced')) throw error; // a newer hand leads it
    }
  }
}
