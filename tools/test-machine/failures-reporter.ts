import { stripVTControlCharacters } from 'node:util';

import type { Reporter, TestModule } from 'vitest/node';

const MOST_LINES = 12;

/** Ends the output with what failed, some lines each: whoever keeps only the end of a long log still reads why. */
export default class FailuresReporter implements Reporter {
  #told: string[] = [];

  onInit(): void {
    process.once('exit', () => process.stdout.write(this.#told.map((text) => `${text}\n`).join('')));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly Wrong[]): void {
    this.#told = [
      ...modules.flatMap((module) => [
        ...module.errors().map((error) => tell(module.relativeModuleId, error)),
        ...[...module.children.allTests('failed')].flatMap((test) =>
          (test.result().errors ?? []).map((error) => tell(`${module.relativeModuleId} > ${test.fullName}`, error)),
        ),
        ...[...module.children.allSuites()].flatMap((suite) =>
          suite.errors().map((error) => tell(`${module.relativeModuleId} > ${suite.fullName}`, error)),
        ),
      ]),
      ...errors.map((error) => tell('outside of any test', error)),
    ];
  }
}

interface Wrong {
  readonly message?: string;
  readonly diff?: string;
}

function tell(where: string, { message = '', diff = '' }: Wrong): string {
  const changed = stripVTControlCharacters(diff)
    .split('\n')
    .filter((line) => /^[+-] /.test(line));
  const lines = [...stripVTControlCharacters(message).split('\n'), ...changed];
  return [`FAILED ${where}`, ...lines.slice(0, MOST_LINES).map((line) => `  ${line.slice(0, 300)}`)].join('\n');
}
