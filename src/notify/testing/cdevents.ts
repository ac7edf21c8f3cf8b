import { readdirSync, readFileSync } from 'node:fs';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { z } from 'zod';

import type { Receiver } from './receiver.ts';

const FIXTURES = new URL('../../../fixtures/cdevents/', import.meta.url);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const ajv = new Ajv2020({
  strict: false,
  formats: {
    uri: (text: string) => URL.canParse(text),
    'uri-reference': (text: string) => URL.canParse(text, 'https://x.test'),
    'date-time': TIME,
  },
});
for (const folder of ['links/', ''])
  for (const file of readdirSync(new URL(folder, FIXTURES)).filter((name) => name.endsWith('.json')))
    ajv.addSchema(JSON.parse(readFileSync(new URL(`${folder}${file}`, FIXTURES), 'utf8')) as object);

const Envelope = z.strictObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  subject: z.string().min(1),
  time: z.string().regex(TIME),
  datacontenttype: z.literal('application/json'),
  data: z
    .object({
      context: z.looseObject({ id: z.string(), source: z.string(), type: z.string(), timestamp: z.string() }),
      subject: z.looseObject({ id: z.string(), content: z.looseObject({}) }),
    })
    .loose(),
});

/** Reads what came as the binding of CDEvents to CloudEvents has it, and judges the event by the schema of its type. */
export function readCloudEvent(taken: Receiver['taken'][number] | undefined) {
  if (!taken?.headers['content-type']?.startsWith('application/cloudevents+json'))
    throw new Error('It is no CloudEvent.');
  const envelope = Envelope.parse(JSON.parse(taken.body));
  const { context, subject } = envelope.data;
  const same = [context.id, context.source, context.type, context.timestamp, subject.id].join();
  if (same !== [envelope.id, envelope.source, envelope.type, envelope.time, envelope.subject].join())
    throw new Error('The envelope says something else than the event.');
  const validate = ajv.getSchema(`https://cdevents.dev/0.5.1/schema/${schemaOf(context.type)}`);
  if (validate === undefined) throw new Error(`There is no schema for ${context.type}.`);
  if (validate(envelope.data) !== true) throw new Error(`${context.type}: ${ajv.errorsText(validate.errors)}`);
  return { envelope, body: envelope.data };
}

function schemaOf(type: string): string {
  const [, , subject, predicate] = type.split('.');
  return type.startsWith('dev.cdeventsx.') ? 'custom' : `${subject}-${predicate}-event`;
}
