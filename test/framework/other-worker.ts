/** A guard that finds something else in the place of Node's Worker: its threads fail, or are held, as a test says. */

/** @param code an expression for a class, in which `Worker` is the real one @returns a flag for Node: it holds before anything of the guard is loaded */
export function insteadOfWorker(code: string): string {
  const whole =
    'import threads from "node:worker_threads"; import { syncBuiltinESMExports } from "node:module"; ' +
    `const { Worker } = threads; threads.Worker = ${code}; syncBuiltinESMExports();`;
  return `--import=data:text/javascript,${encodeURIComponent(whole)}`;
}
