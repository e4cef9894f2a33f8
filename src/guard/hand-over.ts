/**
 * Step 8 of the walk: a thread has touched a lost page, and the guest must learn of it, once, before it goes on.
 *
 * By signal, QEMU's own handler sees to it. By monitor, QEMU is ordered to do the same, and keeps nothing in mind
 * (../qemu/machine-check.ts). The machine check must meet the very access that hit the page: taken at any other instruction it would
 * end the wrong program in the guest. So from the stop on the thread is kept out of the guest until QEMU has answered:
 *
 * 1. The thread waits in a system call of its own, until QEMU's main loop kicks it for the order or a while has passed. It comes home
 *    without us. So if we die with the order under way, the order is there before the thread enters the guest.
 * 2. It serves QEMU, but the way into the guest is barred (guest-gate.ts).
 * 3. After QEMU's answer it enters the guest, and finds the machine check before it repeats its access.
 *
 * Whatever goes wrong, the access repeats, and QEMU gets that signal.
 */

import { type Hva, hex } from "../linux/address.js";
import { writeProcess } from "../linux/process-memory.js";
import { readThreadStatus } from "../linux/procfs/status.js";
import { maskAllBut, signal } from "../linux/signals.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext, StoppedAtError } from "./guard-context.js";
import { findGuestEntry, type GuestEntry, GuestGate } from "./guest-gate.js";
import { reasonOf } from "./refusal-reason.js";
import { releaseToRepeat } from "./release.js";

/** How long the thread waits for QEMU's main loop, should we die, in nanoseconds. It is woken at once. */
const WAIT_NS = 200_000_000n;
/** How long other threads at a SIGBUS stand before they may try again: QEMU may be waiting for one of them. */
const BOUNCE_MS = 3;

/** What became of a stop at a lost page. `again`: the access repeats first. */
export type HandOver = "told" | "again";

/**
 * @param stopped a thread at a lost page, held; it is let go
 * @param page the lost 4 KiB
 */
export async function handOver(guard: GuardContext, stopped: StoppedAtError, page: Hva): Promise<HandOver> {
  const { held } = stopped;
  const { telling, vm } = guard;
  if (telling.route === "signal" || vm === undefined)
    return bySignal(guard, held, "it got the signal itself");
  const entry = findGuestEntry(held);
  if (entry === undefined)
    return bySignal(guard, held, "a part of QEMU other than the guest touched the page");
  const cpu = vm.cpuIndexOf(ownThreadId(held));
  const gpa = vm.gpaOf(page);
  if (cpu === undefined || gpa === null) {
    if (telling.comesAgain(held.tid)) {
      const what =
        gpa === null ? `the guest address of ${hex(page)}` : `the virtual CPU of thread ${held.tid}`;
      return bySignal(guard, held, `QEMU does not tell ${what}`);
    }
    // Plugged in a moment ago: QEMU can be asked only while its threads run.
    releaseToRepeat(guard, held);
    await whileOthersRun(guard, () => vm.lookAgain());
    return "again";
  }
  telling.recognised(held.tid);
  return await whileOthersRun(guard, () =>
    byMonitor(guard, held, entry, () => vm.injectMachineCheck(cpu, gpa)),
  );
}

function bySignal(guard: GuardContext, held: HeldThread, why: string): HandOver {
  held.deliver();
  guard.telling.bySignal(why);
  return "told";
}

async function byMonitor(
  guard: GuardContext,
  held: HeldThread,
  entry: GuestEntry,
  order: () => ReturnType<NonNullable<GuardContext["vm"]>["injectMachineCheck"]>,
): Promise<HandOver> {
  let gate: GuestGate | undefined;
  try {
    sendWaiting(held);
    gate = new GuestGate(held, entry);
    guard.onStep("loss-waiting");
    const answer = order();
    guard.onStep("loss-ordered");
    const outcome = await answer;
    guard.onStep("loss-told");
    if (outcome.kind !== "refused" && outcome.kind !== "no-broadcast") return "told";
    const said = outcome.kind === "refused" ? outcome.answer : "";
    guard.telling.bySignal(`it refused the order (${said || "without a word"})`);
  } catch (error) {
    guard.telling.bySignal(reasonOf(error).message);
  } finally {
    gate?.open();
    held.withhold();
  }
  return "again";
}

/** QEMU is asked something meanwhile: threads that stand at a SIGBUS may hold what it needs for the answer. */
async function whileOthersRun<Result>(guard: GuardContext, work: () => Promise<Result>): Promise<Result> {
  const bounce = setInterval(() => guard.waiting.bounce(), BOUNCE_MS);
  try {
    return await work();
  } finally {
    clearInterval(bounce);
  }
}

/** The thread waits for a kick of QEMU's own (SIGUSR1; QEMU 7.2: util/main-loop.c, SIG_IPI), then comes back from where it stopped. */
function sendWaiting(held: HeldThread): void {
  const words = Buffer.alloc(24);
  words.writeBigUInt64LE(WAIT_NS, 8);
  words.writeBigUInt64LE(maskAllBut(signal.SIGUSR1), 16);
  using remote = held.borrow();
  writeProcess(held.pid, remote.data, words);
  // SAFETY: waits for nothing but a signal or the time; the thread comes home by itself.
  remote.leaveWith("ppoll", 0, 0, remote.data, remote.data + 16n, 8);
}

/** The thread's id in QEMU's own pid namespace. */
function ownThreadId({ pid, tid }: HeldThread): number {
  return readThreadStatus(pid, tid).nsPid?.at(-1) ?? tid;
}
