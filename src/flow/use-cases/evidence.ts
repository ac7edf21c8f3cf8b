import type { RecordedEvidence } from '../../check/evidence.ts';
import { evidenceById } from '../../check/evidence-store.ts';
import { keptOf, readContent } from '../../check/kept-store.ts';
import { TowpathError } from '../../lib/error.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import { evidenceView } from './evidence-view.ts';
import { projectNamed } from './project-named.ts';

export function evidenceCases({ store: { db } }: House): UseCases['evidence'] {
  return {
    async show(project, id) {
      const evidence = await evidenceIn(db, project, id);
      const { files, leftOut } = evidence.answer.kept ?? { files: [], leftOut: 0 };
      const kept = await keptOf(db, id);
      return {
        ...evidenceView(evidence),
        files: files.map((file) => ({ ...file, gone: !kept.has(file.digest) })),
        leftOut,
      };
    },
    async file(project, id, path) {
      const evidence = await evidenceIn(db, project, id);
      const file = evidence.answer.kept?.files.find((one) => one.path === path);
      if (file === undefined) throw unknownFile(evidence, path);
      if (!(await keptOf(db, id)).has(file.digest)) throw goneFile(path);
      return { size: file.size, bytes: readContent(db, file.digest) };
    },
  };
}

async function evidenceIn(db: Sql, project: string, id: string): Promise<RecordedEvidence> {
  const { id: projectId } = await projectNamed(db, project);
  const evidence = await evidenceById(db, id);
  if (evidence !== null && evidence.projectId === projectId) return evidence;
  throw new TowpathError({
    code: 'check.evidence-unknown',
    what: `There is no evidence "${id}" in this project.`,
    fix: '`towpath release show RELEASE --json` has the evidence of a release with its ids.',
  });
}

function unknownFile({ check }: RecordedEvidence, path: string): TowpathError {
  return new TowpathError({
    code: 'check.file-unknown',
    what: `That run of ${check} has left no file "${path}".`,
    fix: '`towpath release files RELEASE` lists what is kept.',
  });
}

function goneFile(path: string): TowpathError {
  return new TowpathError({
    code: 'check.file-missing',
    what: `"${path}" was kept long enough, and is gone.`,
    fix: '`towpath test RELEASE CHECK` runs the check again.',
  });
}
