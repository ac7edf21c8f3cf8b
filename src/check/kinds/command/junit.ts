import { XMLParser } from 'fast-xml-parser';

import type { TestCounts } from '../../kind.ts';

/** A report above this is not read: no test run of people writes one. */
export const JUNIT_LIMIT_BYTES = 32 * 1024 * 1024;

const SHOWN_FAILURES = 50;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#text',
  parseAttributeValue: false,
  parseTagValue: false,
  alwaysCreateTextNode: true,
  trimValues: true,
  processEntities: { enabled: true, maxTotalExpansions: 1_000_000, maxExpandedLength: JUNIT_LIMIT_BYTES },
  isArray: (_name, _path, _leaf, isAttribute) => !isAttribute,
  maxNestedTags: 64,
});

/**
 * Reads a JUnit XML report, as node:test, vitest, jest, mocha, pytest, surefire and others write it: test cases are
 * counted one by one, for the totals that tools write in attributes differ in meaning.
 * @returns a phrase that says what is wrong, for a text that is no report; never throws
 */
export function parseJunit(text: string): TestCounts | { readonly wrong: string } {
  if (text.length > JUNIT_LIMIT_BYTES) return { wrong: 'the report is too big' };
  if (/<!DOCTYPE|<!ENTITY/i.test(text)) return { wrong: 'the report has a DOCTYPE' };
  let root: unknown;
  try {
    root = parser.parse(text, true);
  } catch {
    return { wrong: 'the report is not XML' };
  }
  const roots = [...childrenOf(root, 'testsuites'), ...childrenOf(root, 'testsuite')];
  if (roots.length === 0) return { wrong: 'the report has no test suite' };
  const cases = roots.flatMap((suite) => casesOf(suite, 'testsuite' in suite ? '' : attribute(suite, 'name')));
  const failed = cases.filter(({ node }) => problemOf(node) !== undefined);
  const skipped = cases.filter(({ node }) => problemOf(node) === undefined && 'skipped' in node);
  return {
    passed: cases.length - failed.length - skipped.length,
    failed: failed.length,
    skipped: skipped.length,
    failures: failed.slice(0, SHOWN_FAILURES).map(({ name, node }) => ({ name, message: messageOf(node) })),
  };
}

type XmlNode = Readonly<Record<string, unknown>>;

/** Test cases stand in suites, in suites of suites, or (node:test) beside them. */
function casesOf(suite: XmlNode, here: string): { readonly name: string; readonly node: XmlNode }[] {
  const own = childrenOf(suite, 'testcase').map((node) => ({ name: joined(here, attribute(node, 'name')), node }));
  // a suite can fail by itself, in its set-up: that is a failure too
  const itself = problemOf(suite) === undefined ? [] : [{ name: here, node: suite }];
  const inner = childrenOf(suite, 'testsuite').flatMap((suite) =>
    casesOf(suite, joined(here, attribute(suite, 'name'))),
  );
  return [...itself, ...own, ...inner];
}

function joined(here: string, name: string): string {
  return shorten(here === '' || name === '' ? `${here}${name}` : `${here} > ${name}`, 300);
}

function problemOf(node: XmlNode): XmlNode | undefined {
  return childrenOf(node, 'failure')[0] ?? childrenOf(node, 'error')[0];
}

function messageOf(node: XmlNode): string {
  const problem = problemOf(node) ?? {};
  const text = problem['#text'];
  return shorten(attribute(problem, 'message') || (typeof text === 'string' ? text : ''), 500);
}

function childrenOf(node: unknown, name: string): XmlNode[] {
  const children = isNode(node) && Object.hasOwn(node, name) ? node[name] : undefined;
  return Array.isArray(children) ? children.map((child) => (isNode(child) ? child : { '#text': String(child) })) : [];
}

function attribute(node: XmlNode, name: string): string {
  const value = node[`@${name}`];
  return typeof value === 'string' ? value : '';
}

function isNode(value: unknown): value is XmlNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  // a pair that the cut would halve is left out
  return `${text.slice(0, length - 3).replace(/[\uD800-\uDBFF]$/, '')}...`;
}
