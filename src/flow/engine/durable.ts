import { AsyncLocalStorage } from 'node:async_hooks';

/** A workflow: a function whose steps are remembered, so that after a kill it goes on behind the last step that was done. */
export interface Durable<Input = never, Output = unknown> {
  readonly name: string;
  /** Outside the engine (a unit test) it runs as an ordinary function: its steps run, nothing is remembered. */
  readonly run: (input: Input) => Promise<Output>;
}

/**
 * Names a workflow. Its input, its output and what its steps return are JSON; the order of its steps depends on nothing but
 * its input and what earlier steps returned. Changing the order of steps needs a new name or a new `ENGINE_VERSION`.
 */
export function durable<Input, Output>(name: string, run: (input: Input) => Promise<Output>): Durable<Input, Output> {
  return { name, run: (input) => workflowName.run(name, () => run(input)) };
}

const workflowName = new AsyncLocalStorage<string>();

/** The workflow that runs now, for the names of boundaries; empty outside of one. */
export function currentWorkflow(): string {
  return workflowName.getStore() ?? '';
}
