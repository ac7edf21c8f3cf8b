import { recordAudit } from '../../audit/audit-store.ts';
import type { SweepPoint } from '../../registry/content.ts';
import { planContent, type ContentVerdict } from '../care/content-plan.ts';
import { contentRoots } from '../care/content-roots.ts';
import { contentBefore, keptImages } from '../care/image-content.ts';
import { giveUpArtifacts, graceBefore, toGiveUp } from '../care/give-up.ts';
import { retainImages } from '../care/retain-images.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import type { UnneededArtifact } from '../care/needed-artifacts.ts';
import type { GivenUpArtifact, SweptManifest } from '../view/registry.ts';

export function registryCases(house: House): UseCases['registry'] {
  const { store, registry, content, clock, settings } = house;
  const audit = (actor: string, action: string, detail: Readonly<Record<string, unknown>>) =>
    recordAudit(store.db, { actor, action, subject: registry.host, detail });
  return {
    async sweep({ dryRun = false }, by) {
      // before anything goes: whoever is killed in between leaves word of what he began
      if (!dryRun) await audit(by, 'registry.sweep', {});
      const givesUp = dryRun ? await toGiveUp(house) : await giveUpArtifacts(house);
      if (!dryRun) {
        passed('given-up');
        await retainImages(house);
        passed('tags');
      }
      const beforeMs = await contentBefore(store.db, clock.now());
      const roots = await contentRoots(store.db, registry.host, graceBefore(clock.now(), settings));
      const held = await content.held();
      const verdicts = planContent(held, roots, beforeMs);
      // from the roots of this very moment, not from the plan: what was promoted since stays
      const removed = dryRun
        ? null
        : await content.sweep({ kept: keptImages(store.db, registry.host), beforeMs, known: held, passed });
      if (removed !== null) {
        await audit(by, 'registry.swept', { ...removed, givenUp: givesUp.length });
        passed('audit');
      }
      return {
        dryRun,
        registry: registry.host,
        before: new Date(beforeMs).toISOString(),
        givesUp: givesUp.map(givenUpOf),
        goes: verdicts.filter(({ stays }) => !stays).map(viewOf),
        stays: verdicts.filter(({ stays }) => stays).map(viewOf),
        removed,
      };
    },
  };
}

/** Nobody goes on with a sweep that was killed: the next one begins anew. Its points are named as the steps of a workflow. */
function passed(point: SweepPoint | 'given-up' | 'tags' | 'audit'): void {
  passBoundary(point, 'done', 'sweep');
}

function givenUpOf({ project, service, digest, release, why, isReported }: UnneededArtifact): GivenUpArtifact {
  const back = isReported ? ['was built by another CI, which alone can bring it back'] : [];
  return {
    project,
    service,
    digest,
    release,
    reasons: [
      why.kind === 'yanked'
        ? `is part of yanked releases alone (since ${why.since}: ${why.reason}), runs nowhere, and \`yank: { delete: true }\` keeps nothing of that kind`
        : `is part of no release that a branch or tag means, that runs, waits or can be put back, and has not been since ${why.since}`,
      ...back,
    ],
  };
}

function viewOf({ held: { repository, digest, tags, bytes }, reasons }: ContentVerdict): SweptManifest {
  return { repository, digest, tags, bytes, reasons };
}
