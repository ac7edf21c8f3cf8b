import { checkTitle } from '../check/check-type.ts';
import type { WhyLineView, WhyPlaceView, WhyView } from '../flow/view/path.ts';
import { groupBy } from '../lib/group.ts';
import { EXIT } from './exit.ts';
import { reasonText } from './promotion-answer.ts';
import { subjectOf } from './subject.ts';
import type { Paint } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const why: Verb = (program, run) => {
  program
    .command('why')
    .description('say what something waits for, why it was refused, or how it came to run')
    .argument('<subject>', 'an environment, a promotion (`promotion 12`, or its id) or a release')
    .argument('[environment]', 'of a release: there alone; after the word `promotion`: its number')
    .option('--at <instant>', 'of a release: as it would have been decided then, such as 2026-11-23T09:00Z')
    .addHelpText('after', needs('path.why'))
    .action(
      run<{ at?: string }>(async (context, { at }, word = '', second) => {
        const isPromotion = second === undefined || word === 'promotion';
        const client = await context.client();
        const project = await context.project();
        const query = {
          subject: isPromotion ? subjectOf(word, second) : word,
          ...(isPromotion ? {} : { environment: second }),
          ...(at === undefined ? {} : { at }),
        };
        const answer = await client.call('path.why', { params: { project }, query });
        context.out.data(answer, (view) => whyText(view, context.out.paint));
        return EXIT.ok;
      }),
    );
};

function whyText({ headline, reasons, story, environments }: WhyView, paint: Paint): string {
  return [
    paint('bold', headline),
    ...reasons.filter(({ what }) => !environments.some(saying(what))).map(reasonText),
    ...alike(environments).flatMap((place) => placeText(place, paint)),
    ...story.map(({ at, what }) => `${paint('dim', at)}  ${what}`),
  ].join('\n');
}

/** Places of which the same is to be said are named together: what lacks an artifact goes nowhere, for one reason. */
function alike(places: readonly WhyPlaceView[]): WhyPlaceView[] {
  const groups = groupBy(places, ({ verdict, headline, lines, unknown }) =>
    JSON.stringify([verdict, headline, lines, unknown]),
  );
  return [...groups.values()].flatMap((group) => {
    const [place] = group;
    if (place === undefined || group.length === 1) return group;
    const environment = group.map((one) => one.environment).join(', ');
    return [{ ...place, environment, headline: place.headline.replace(/^([a-z]+)s\b/, '$1') }]; // refuses it -> refuse it
  });
}

/** A condition of a place says it already, with what it rests upon. */
function saying(what: string): (place: WhyPlaceView) => boolean {
  return ({ lines }) => lines.some((line) => what.endsWith(line.what));
}

/** What is printed of a place; whoever decides without a server prints the same. */
export interface PlaceText extends Pick<WhyPlaceView, 'environment' | 'verdict' | 'headline' | 'unknown'> {
  readonly lines: readonly LineText[];
}

type LineText = Pick<WhyLineView, 'verdict' | 'gate' | 'what' | 'fix' | 'until'> & {
  readonly evidence: readonly Pick<
    WhyLineView['evidence'][number],
    'id' | 'check' | 'type' | 'service' | 'verdict' | 'at' | 'reusedFrom'
  >[];
};

const COLOURS = { runs: 'green', go: 'green', wait: 'yellow', refuse: 'red' } as const;

export function placeText({ environment, verdict, headline, lines, unknown }: PlaceText, paint: Paint): string[] {
  const [only] = lines.length === 1 ? lines : [];
  const said =
    only !== undefined && headline.endsWith(`: ${only.what}`) ? headline.slice(0, -only.what.length - 1) : headline;
  return [
    `${paint(COLOURS[verdict], environment)} ${said}`,
    ...lines.flatMap((line) => lineText(line, paint)),
    ...unknown.map((what) => `  ${paint('dim', `(${what})`)}`),
  ];
}

const MARKS = { pass: 'ok', wait: 'waits', refuse: 'no' } as const;

function lineText({ verdict, gate, what, fix, until, evidence }: LineText, paint: Paint): string[] {
  const end = until === null ? '' : ` (until ${until})`;
  return [
    `  ${MARKS[verdict]}  ${gate}: ${what}${end}`,
    ...evidence.map(({ check, type, service, verdict: said, at, id, reusedFrom }) => {
      const origin = reusedFrom === null ? '' : `, reused from ${reusedFrom}`;
      return `      ${paint('dim', `${checkTitle(check, type)}${service === null ? '' : ` of ${service}`} ${said} ${at}, ${id}${origin}`)}`;
    }),
    ...(fix === null ? [] : [`      ${fix}`]),
  ];
}
