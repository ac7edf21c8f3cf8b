import { z } from 'zod';

/**
 * The schema of a view, under the name it gets in the OpenAPI file. It must name each field of the view and no other:
 * what a schema does not name is dropped from the answer, which guards secrets but must not lose a field by neglect.
 */
export function view<View>(): <Shape extends { readonly [Key in keyof View]-?: z.ZodType }>(
  id: string,
  shape: Shape & Readonly<Record<Exclude<keyof Shape, keyof View>, never>>,
) => z.ZodObject<Shape> {
  return (id, shape) => z.object<typeof shape>(shape).meta({ id });
}

/** An array that the use cases may hand over read-only. */
export function listOf<Item extends z.ZodType>(item: Item): z.ZodType<readonly z.output<Item>[]> {
  return z.array(item);
}

export const Instant = z.string().describe('ISO 8601, UTC');
/** What people type for an instant. */
export const Moment = z
  .string()
  .regex(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/,
    'an instant with its zone such as 2026-11-23T09:00Z',
  )
  .refine((text) => !Number.isNaN(Date.parse(text)), 'an instant that exists');
export const DigestText = z.templateLiteral(['sha256:', z.string()]).describe('sha256:<64 hex digits>');
export const Name = z.string().min(1).max(300);
/** What people type for a release: an id, a number (`#12`), a commit of 7 digits or more, a branch or a tag. */
export const ReleaseName = Name.describe('An id, a number (#12), a commit (7 digits or more), a branch or a tag');
export const Remark = z.string().max(2_000);

/** @param form of the `next` of a page: a number of the list, or the id of what came last */
export function pageQuery(form: RegExp) {
  return z.object({
    limit: z.coerce.number().int().min(1).max(200).default(50),
    cursor: z.string().regex(form, 'the `next` of a page').optional().describe('`next` of the page before'),
  });
}

export const NUMBER_CURSOR = /^\d{1,15}$/;
export const ID_CURSOR = /^[a-z]+_[0-9a-z]{1,60}$/;

export function pageOf<Item extends z.ZodType>(
  item: Item,
): z.ZodObject<{ items: z.ZodType<readonly z.output<Item>[]>; next: z.ZodOptional<z.ZodString> }> {
  return z.object({ items: listOf(item), next: z.string().optional().describe('Absent on the last page') });
}
