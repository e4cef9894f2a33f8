/** The two scraps of a tracee's own code that remote system calls run. No text of a tracee is ever changed. */

import { readFileSync } from "node:fs";
import { type Hva, hva } from "../linux/address.js";
import { currentArchitecture } from "../linux/arch/current.js";
import { tryReadProcess } from "../linux/process-memory.js";
import { type Mapping, readMaps } from "../linux/procfs/maps.js";
import { TraceeError } from "./tracee-error.js";

/** Where they lie in the tracee. */
export interface Gadgets {
  /** A system call followed by a return. */
  readonly call: Hva;
  /** The return from a signal handler: makes the kernel restore a thread from the frame on its stack. */
  readonly restore: Hva;
}

const CHUNK = 65536;

/**
 * Searches the executable mappings, the C library first.
 *
 * @param pid the tracee
 * @throws TraceeError HM_TRACEE_NO_GADGET if its code has none, HM_TRACEE_SHADOW_STACK if it runs with user shadow stacks,
 *   which forbid returning to an address that was never called from
 */
export function findGadgets(pid: number): Gadgets {
  refuseShadowStack(pid);
  const { callGadget, restoreGadget } = currentArchitecture();
  const code = readMaps(pid)
    .filter((mapping) => mapping.execute && mapping.read && mapping.inode !== 0n)
    .sort((left, right) => rank(left) - rank(right));
  let call: Hva | undefined;
  let restore: Hva | undefined;
  for (const mapping of code) {
    call ??= find(pid, mapping, callGadget);
    restore ??= find(pid, mapping, restoreGadget);
    if (call !== undefined && restore !== undefined) return { call, restore };
  }
  throw new TraceeError(
    "HM_TRACEE_NO_GADGET",
    `The code of process ${pid} holds no usable system call instruction`,
    {
      present: `${code.length} executable mappings`,
      expected: "a C library with `syscall; ret` and a signal return",
      remedy: "Report the C library's version",
    },
  );
}

function rank(mapping: Mapping): number {
  return /\/(libc|ld-musl)[^/]*\.so/.test(mapping.path) ? 0 : 1;
}

function find(pid: number, mapping: Mapping, code: Buffer): Hva | undefined {
  const overlap = BigInt(code.length - 1);
  for (let at: bigint = mapping.start; at < mapping.end; at += BigInt(CHUNK) - overlap) {
    const rest = mapping.end - at;
    const bytes = tryReadProcess(pid, hva(at), rest < BigInt(CHUNK) ? Number(rest) : CHUNK);
    const index = bytes?.indexOf(code) ?? -1;
    if (index >= 0) return hva(at + BigInt(index));
    if (rest <= BigInt(CHUNK)) break;
  }
  return undefined;
}

/** x86 user shadow stacks show in /proc/PID/status (Documentation/arch/x86/shstk.rst). */
function refuseShadowStack(pid: number): void {
  const features =
    /^x86_Thread_features:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "";
  if (!features.split(/\s+/).includes("shstk")) return;
  throw new TraceeError("HM_TRACEE_SHADOW_STACK", `Process ${pid} runs with user shadow stacks`, {
    present: features,
    expected: "no shstk",
    remedy: "Start it without the shadow stack tunable of the C library",
  });
}
