import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Runs `work` while holding a lock that other processes respect. The lock is an abstract Unix socket (unix(7)), named after the path:
 * the kernel lets one process bind it and frees it when that process ends, however it ends, so there is no stale lock to judge. The
 * file at the path only tells those who wait who holds it.
 *
 * @param path the file that names the holder
 * @param waiting called once when somebody else holds the lock, with the holder's pid (0 while it has not said it yet)
 * @param work what to do under the lock
 */
export async function withLock<T>(
  path: string,
  waiting: (pid: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const name = socketName(path);
  let told = false;
  let server = await claim(name);
  while (server === undefined) {
    if (!told) waiting(holderOf(path));
    told = true;
    await sleep(200);
    server = await claim(name);
  }
  try {
    writeFileSync(path, String(process.pid));
    return await work();
  } finally {
    // Only the holder touches the file, and it still is the holder.
    rmSync(path, { force: true });
    await release(server);
  }
}

/** The same for every spelling of a path; at most 107 characters fit (unix(7)). */
function socketName(path: string): string {
  const real = join(realpathSync(dirname(path)), basename(path));
  return `\0hugemend-lab-${createHash("sha256").update(real).digest("hex")}`;
}

function claim(name: string): Promise<Server | undefined> {
  return new Promise((done, failed) => {
    const server = createServer((stranger) => stranger.destroy());
    server.once("listening", () => done(server));
    server.once("error", (error) =>
      "code" in error && error.code === "EADDRINUSE" ? done(undefined) : failed(error),
    );
    server.listen(name);
  });
}

function release(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
  });
}

function holderOf(path: string): number {
  try {
    return Number.parseInt(readFileSync(path, "utf8"), 10) || 0;
  } catch {
    return 0; // It has not written it yet, or has just removed it.
  }
}
