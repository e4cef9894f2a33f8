/**
 * Large pages for tests: raises a pool and puts it back, whatever happens to the test.
 *
 * The pool is one number for the whole machine and test files run in parallel, so every change is an addition or
 * a subtraction made under a lock. The lock is an abstract Unix socket: the kernel releases it when its owner dies.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const LOCK = "\0hugemend-test-hugepages";
const PATIENCE_MS = 30_000;

/** Pages that stay in the pool until this is disposed of. Dispose after the processes using them have ended. */
export interface HeldHugepages extends AsyncDisposable {
  readonly count: number;
  readonly pageSize: number;
}

function poolFile(pageSize: number): string {
  return `/sys/kernel/mm/hugepages/hugepages-${pageSize / 1024}kB/nr_hugepages`;
}

function poolSize(pageSize: number): number {
  return Number(readFileSync(poolFile(pageSize), "utf8"));
}

/** Changes the pool by `delta` pages and tells by how many it really changed: the kernel gives what it can. */
function change(pageSize: number, delta: number): number {
  const before = poolSize(pageSize);
  // SAFETY: needs root; dying right after it leaves the pool changed by `delta`, which is what the exit hook undoes.
  writeFileSync(poolFile(pageSize), String(Math.max(before + delta, 0)));
  return poolSize(pageSize) - before;
}

async function lock(): Promise<Server> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const server = createServer();
    const locked = await new Promise<boolean>((resolve, reject) => {
      server.once("listening", () => resolve(true));
      server.once("error", (error) =>
        "code" in error && error.code === "EADDRINUSE" ? resolve(false) : reject(error),
      );
      server.listen(LOCK);
    });
    if (locked) return server;
    if (Date.now() > deadline)
      throw new Error(`the lock of the large page pool was not free for ${PATIENCE_MS} ms`);
    await sleep(20);
  }
}

async function locked<T>(work: () => T): Promise<T> {
  const server = await lock();
  try {
    return work();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

let listening = false;

/** A signal that ends the process must not keep it from giving the pages back. */
function exitOnSignals(): void {
  if (listening) return;
  listening = true;
  process.once("SIGTERM", () => process.exit(143));
  process.once("SIGINT", () => process.exit(130));
}

/**
 * @param count pages to add to the pool
 * @param pageSize in bytes: 2 MiB or 1 GiB
 * @returns the pages; `await using` gives them back
 * @throws Error when the kernel cannot find that many: memory is short or too fragmented
 */
export async function acquire(count: number, pageSize: number = 2 * 1024 * 1024): Promise<HeldHugepages> {
  await locked(() => {
    const got = change(pageSize, count);
    if (got >= count) return;
    change(pageSize, -got);
    throw new Error(
      `the kernel gave ${got} of ${count} pages of ${pageSize} bytes; run as root with more free memory`,
    );
  });
  let held = true;
  const onExit = () => {
    if (held) change(pageSize, -count);
  };
  process.once("exit", onExit);
  exitOnSignals();
  return {
    count,
    pageSize,
    async [Symbol.asyncDispose]() {
      if (!held) return;
      await locked(() => {
        held = false;
        change(pageSize, -count);
      });
      process.removeListener("exit", onExit);
    },
  };
}
