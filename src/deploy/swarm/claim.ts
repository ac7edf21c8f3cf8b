import { z } from 'zod';

import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedToRemove } from '../../container/docker/error.ts';
import { fenced } from '../deploy-error.ts';
import { post, SwarmObject, unless, unlessMoved } from './api.ts';
import { LABEL, type Place, placeFilter, placeLabels, placeName } from './names.ts';
import { contended } from './swarm-error.ts';

const TRIES = 20;

/**
 * Says that we write to a place now, under this token, unless a higher one was seen. The record is a config of the Swarm that no
 * container gets: its labels are changed only by who names its newest version, and, unlike the label of a service, Swarm does
 * not put it back when it rolls a service back.
 * @throws DeployError `deploy.fenced`
 */
export async function claim(engine: DockerEngine, place: Place, token: bigint): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const record = await find(engine, place);
    const seen = record === null ? null : tokenOf(record);
    if (seen !== null && seen > token) {
      throw fenced(`"${place.target.environment}" of ${place.target.project}`, token, seen);
    }
    if (seen === token) return;
    if (await (record === null ? create(engine, place, token) : raise(engine, record, token))) return;
  }
  throw contended(`Who writes to "${place.target.environment}"`);
}

/** Forgets a place that is gone: one of the same name that is made later counts from the start. */
export async function forget(engine: DockerEngine, place: Place, token: bigint): Promise<void> {
  const record = await find(engine, place);
  if (record === null || tokenOf(record) > token) return;
  await askedToRemove('forget a place', engine.docker.getConfig(record.ID).remove());
}

/** The highest token that a place showed, by the labels of its things; 0 where nobody claimed it. */
export async function tokenSeen(engine: DockerEngine, target: string, installation: string): Promise<bigint> {
  const records = await list(engine, [`${LABEL.installation}=${installation}`, `${LABEL.target}=${target}`]);
  return records.map(tokenOf).reduce((highest, token) => (token > highest ? token : highest), 0n);
}

async function find(engine: DockerEngine, place: Place): Promise<SwarmObject | null> {
  return (await list(engine, placeFilter(place))).find(({ Spec }) => Spec.Name === placeName(place)) ?? null;
}

async function list(engine: DockerEngine, labels: readonly string[]): Promise<SwarmObject[]> {
  const filters = JSON.stringify({ label: labels });
  return z.array(SwarmObject).parse(await asked('list configs', engine.docker.listConfigs({ filters })));
}

function create(engine: DockerEngine, place: Place, token: bigint): Promise<boolean> {
  const spec = {
    Name: placeName(place),
    Labels: { ...placeLabels(place), [LABEL.token]: String(token) },
    Data: Buffer.from('Towpath keeps here, as a label, who wrote last to this environment.\n').toString('base64'),
  };
  const created = engine.docker.createConfig(spec).then(() => true);
  return asked('say who writes to a place', unless(409, created));
}

function raise(engine: DockerEngine, { ID, Version, Spec }: SwarmObject, token: bigint): Promise<boolean> {
  const spec = { Name: Spec.Name, Labels: { ...Spec.Labels, [LABEL.token]: String(token) } };
  const raised = post(engine, `/configs/${ID}/update`, { version: Version.Index }, spec);
  return asked('say who writes to a place', unlessMoved(raised));
}

function tokenOf({ Spec }: SwarmObject): bigint {
  const text = Spec.Labels[LABEL.token] ?? '';
  return /^\d{1,30}$/.test(text) ? BigInt(text) : 0n;
}
