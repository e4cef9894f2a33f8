/**
 * Lays out a spare in another process and takes it out again, by a call that is made but whose end nobody sees: as of a thread that comes back
 * too late. Prints where the spare was; on a line of input it does what a guard does next, and says which of its own descriptors are gone.
 *
 *   node spare-driver.js '{"pid":…,"kind":"populated","late":"munmap"}'
 */

import { closeSync, fstatSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import { Spares } from "../../../src/guard/spares.js";
import { openProcess } from "../../../src/linux/pidfd.js";
import { PopulatedSpare } from "../../../src/recovery/populated-spare.js";
import { Spare } from "../../../src/recovery/spare.js";
import type { RegionInit } from "../../../src/recovery/spare-region.js";
import type { RemoteCalls } from "../../../src/tracee/remote-calls.js";
import { Tracee } from "../../../src/tracee/tracee.js";

const { pid, kind, late } = z
  .object({ pid: z.int(), kind: z.enum(["populated", "empty"]), late: z.enum(["munmap", "close"]) })
  .parse(JSON.parse(process.argv[2] ?? "{}"));
const attributes = { advice: [], policy: undefined, locked: false };
const init: RegionInit = { size: 2 ** 21, protection: 3, attributes, processDescriptor: openProcess(pid) };
/** More than a spare has. */
const MANY = 8;

function prepare(remote: RemoteCalls): Spare | PopulatedSpare {
  const all = { ...init, onStep: (): void => {} };
  return kind === "populated" ? PopulatedSpare.prepare(remote, all) : Spare.prepare(remote, all);
}

/** From now on that call is made, and seems to have failed. */
function failLate(remote: RemoteCalls): void {
  const call = remote.call.bind(remote);
  remote.call = (name, ...words): bigint => {
    const result = call(name, ...words);
    if (name === late) throw new Error("on purpose");
    return result;
  };
}

/** Puts others in the place of descriptors that were let go. */
function openMany(): number[] {
  return Array.from({ length: MANY }, () => openSync("/dev/null", "r"));
}

function isClosed(fd: number): boolean {
  try {
    fstatSync(fd);
    return false;
  } catch {
    return true;
  }
}

const tracee = Tracee.attach(pid);
tracee.start({ busError: (held) => held.deliver(), gone: () => {} });
const spares = new Spares<Spare | PopulatedSpare>(prepare, [], () => attributes);
const spare = tracee.withAny(prepare);
spares.discard(spare, "on purpose");
let failed = false;
tracee.withAny((remote) => {
  failLate(remote);
  try {
    spares.prepare(remote);
  } catch {
    failed = true;
  }
});
const others = openMany();
process.stdout.write(`${failed ? spare.region.start : "nothing failed"}\n`);
for await (const _line of createInterface({ input: process.stdin })) {
  tracee.withAny((remote) => spares.prepare(remote));
  const gone = others.filter(isClosed);
  process.stdout.write(`closed ${gone.length}\n`);
  for (const fd of others) if (!gone.includes(fd)) closeSync(fd);
  break;
}
tracee.detach();
process.exit(0);
