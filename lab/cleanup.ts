/**
 * What must be undone when the program ends, also when it is interrupted: emulators to kill, folders to remove. Undoing must be
 * synchronous, since it also runs at exit.
 */
const undo: Set<() => void> = new Set();
let listening = false;

/** @param action runs at the end of the program unless called off @returns calls it off */
export function atEnd(action: () => void): () => void {
  if (!listening) listen();
  undo.add(action);
  return () => {
    undo.delete(action);
  };
}

function listen(): void {
  listening = true;
  const all = (): void => {
    for (const action of [...undo].reverse()) {
      try {
        action();
      } catch (error) {
        process.stderr.write(`lab: cleaning up failed: ${String(error)}\n`);
      }
    }
    undo.clear();
  };
  process.on("exit", all);
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.on(signal, () => process.exit(128 + number));
  }
}
