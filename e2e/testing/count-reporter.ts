import type { Reporter, TestModule } from 'vitest/node';

/** Ends the output with how many tests passed and how many did not, for people and programs that read the last line. */
export default class CountReporter implements Reporter {
  #passed = 0;
  /** A run that does not come to its end has failed too. */
  #failed = 1;

  onInit(): void {
    process.once('exit', () => process.stdout.write(`${this.#passed} passed, ${this.#failed} failed\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const broken = modules
      .flatMap((module) => [module, ...module.children.allSuites()])
      .filter((place) => place.errors().length > 0).length;
    this.#passed = states.filter((state) => state === 'passed').length;
    this.#failed = states.filter((state) => state === 'failed').length + broken + errors.length;
  }
}
