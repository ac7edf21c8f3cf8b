import { CheckError } from '../check/error.ts';
import { isFromSonar } from '../check/kinds/sonar/webhook.ts';
import { rulingConfig } from '../config/config-store.ts';
import type { WebhookHeaders } from '../source/host.ts';
import { secretFor } from '../source/webhook.ts';
import type { House } from './house.ts';
import { wakeProject } from './wake.ts';

type Place = Pick<House, 'store' | 'clock' | 'secretOf'> & { readonly starts: Pick<House['starts'], 'promote'> };

/**
 * A server that checks ask says that it has worked: whoever waits in the project asks now, and not within the minute. Nothing
 * of the body is believed, so one that is forged, doubled or replayed changes at most when that is.
 * @throws CheckError `check.unsigned-webhook`, also for a repository that is not there; SourceError `webhook.secret-unavailable`
 */
export async function analysed(
  place: Place,
  repositoryId: string,
  headers: WebhookHeaders,
  body: Buffer,
): Promise<void> {
  const { store, clock, secretOf } = place;
  const row = await store.db
    .selectFrom('repository')
    .select('project_id')
    .where('id', '=', repositoryId)
    .where('left_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw unsigned();
  const secret = (await rulingConfig(store.db, row.project_id))?.config.servers.sonar?.webhook;
  if (secret === undefined) throw unsigned();
  if (!isFromSonar({ headers, body, secret: await secretFor(secret, secretOf), now: clock.now() })) throw unsigned();
  await store.transaction((tx) => wakeProject(place, tx, row.project_id));
}

function unsigned(): CheckError {
  return new CheckError({
    code: 'check.unsigned-webhook',
    what: 'The webhook is not signed with the secret that the project names.',
    fix: 'Set the same secret in SonarQube and in `servers.sonar.webhook` of towpath.yaml on the default branch. It is asked every minute meanwhile.',
  });
}
