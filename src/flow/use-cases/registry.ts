import { recordAudit } from '../../audit/audit-store.ts';
import type { SweepPoint } from '../../registry/content.ts';
import { planContent, type ContentVerdict } from '../care/content-plan.ts';
import { contentRoots } from '../care/content-roots.ts';
import { contentBefore, keptImages } from '../care/image-content.ts';
import { retainImages } from '../care/retain-images.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import type { SweptManifest } from '../view/registry.ts';

export function registryCases(house: House): UseCases['registry'] {
  const { store, registry, content, clock } = house;
  return {
    async sweep({ dryRun = false }, by) {
      if (!dryRun) {
        await retainImages(house);
        passed('tags');
      }
      const beforeMs = await contentBefore(store.db, clock.now());
      const roots = await contentRoots(store.db, registry.host);
      const held = await content.held();
      const verdicts = planContent(held, roots, beforeMs);
      // from the roots of this very moment, not from the plan: what was promoted since stays
      const removed = dryRun
        ? null
        : await content.sweep({ kept: keptImages(store.db, registry.host), beforeMs, passed });
      if (removed !== null) {
        await recordAudit(store.db, {
          actor: by,
          action: 'registry.sweep',
          subject: registry.host,
          detail: { ...removed },
        });
        passed('audit');
      }
      return {
        dryRun,
        registry: registry.host,
        before: new Date(beforeMs).toISOString(),
        goes: verdicts.filter(({ stays }) => !stays).map(viewOf),
        stays: verdicts.filter(({ stays }) => stays).map(viewOf),
        removed,
      };
    },
  };
}

/** Nobody goes on with a sweep that was killed: the next one begins anew. Its points are named as the steps of a workflow. */
function passed(point: SweepPoint | 'tags' | 'audit'): void {
  passBoundary(point, 'done', 'sweep');
}

function viewOf({ held: { repository, digest, tags, bytes }, reasons }: ContentVerdict): SweptManifest {
  return { repository, digest, tags, bytes, reasons };
}
