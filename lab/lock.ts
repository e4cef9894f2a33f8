import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Runs `work` while holding a lock that other processes respect. The lock is a file that names its holder; a holder that died without
 * taking it away is noticed and its lock taken over.
 *
 * @param path the lock file
 * @param waiting called once when somebody else holds the lock, with the holder's pid
 * @param work what to do under the lock
 */
export async function withLock<T>(
  path: string,
  waiting: (pid: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const me = `${process.pid} ${startTime(process.pid)}`;
  let told = false;
  while (!claim(path, me)) {
    const holder = readHolder(path);
    if (holder === undefined) continue;
    if (startTime(holder.pid) !== holder.start) {
      rmSync(path, { force: true });
      continue;
    }
    if (!told) waiting(holder.pid);
    told = true;
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function claim(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function readHolder(path: string): { pid: number; start: string } | undefined {
  try {
    const [pid = "", start = ""] = readFileSync(path, "utf8").split(" ");
    return { pid: Number(pid), start };
  } catch {
    return undefined; // It was released just now.
  }
}

/** A process's start time in clock ticks (proc(5), stat field 22), which tells it from a later one of the same pid; "" when it is gone. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}
