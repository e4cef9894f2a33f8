/**
 * Remote system calls: a stopped thread lends its registers for as long as this scope lives.
 *
 * The scope first writes a signal frame with everything the thread had (registers, vector state, signal mask) below its red
 * zone, and points its stack there. From then on the thread has a way back of its own: whatever system call it is in, it
 * returns through the frame if nobody stops it. So the tracer may die at any instruction of this file.
 */

import { type Hva, hva } from "../linux/address.js";
import type { Registers, SystemCallName } from "../linux/arch/architecture.js";
import { currentArchitecture } from "../linux/arch/current.js";
import { errnoName } from "../linux/errno.js";
import { writeProcess } from "../linux/process-memory.js";
import * as ptrace from "../linux/ptrace.js";
import { maskAllBut, signal } from "../linux/signals.js";
import type { ThreadEvent } from "../linux/wait.js";
import { ptraceEvent, type WaitStatus } from "../linux/wait-status.js";
import { noteAdrift, refuseAdrift } from "./adrift.js";
import type { Gadgets } from "./gadgets.js";
import { nextStop } from "./stop-wait.js";
import { isStuck, TraceeError } from "./tracee-error.js";

/** A remote system call that the kernel refused. */
export class RemoteCallError extends TraceeError {
  override readonly name: string = "RemoteCallError";
  readonly errno: number;

  constructor(call: SystemCallName, errno: number) {
    super("HM_REMOTE_CALL", `${call} failed in the traced process`, { present: errnoName(errno) });
    this.errno = errno;
  }
}

/** Bytes below the signal frame for arguments passed by address. */
const DATA_SIZE = 1024;

/** Use with `using`: leaving the scope gives everything back. */
export class RemoteCalls implements Disposable {
  readonly pid: number;
  readonly tid: number;
  readonly #gadgets: Gadgets;
  readonly #saved: Registers;
  #mask: bigint;
  readonly #stack: bigint;
  #calls = 0;
  #stoppedByGroup = false;
  #alive = true;

  private constructor(
    pid: number,
    tid: number,
    gadgets: Gadgets,
    saved: Registers,
    mask: bigint,
    stack: bigint,
  ) {
    this.pid = pid;
    this.tid = tid;
    this.#gadgets = gadgets;
    this.#saved = saved;
    this.#mask = mask;
    this.#stack = stack;
  }

  /**
   * @param pid the process
   * @param tid a thread of it in a ptrace stop other than group-stop
   * @param gadgets from findGadgets
   * @throws LinuxError, SystemCallError: nothing was changed
   */
  static enter(pid: number, tid: number, gadgets: Gadgets): RemoteCalls {
    const codec = currentArchitecture().registers;
    const saved = ptrace.readRegisters(tid);
    const mask = ptrace.readSignalMask(tid);
    const frame = codec.signalFrame(saved, ptrace.readVectorState(tid), mask, gadgets.restore);
    // SAFETY: below the red zone nothing of the thread's is kept; dying here leaves unused bytes on its stack.
    writeProcess(pid, hva(frame.address), frame.bytes);
    const scope = new RemoteCalls(pid, tid, gadgets, saved, mask, frame.address);
    // SAFETY: the frame is in place, so a thread let go with these registers makes a harmless getpid and comes back through it.
    // The signal mask is only changed after that: otherwise our death would leave the thread deaf.
    ptrace.writeRegisters(tid, scope.#registersFor("getpid", []));
    ptrace.writeSignalMask(tid, maskAllBut());
    return scope;
  }

  /** Address of DATA_SIZE bytes in the tracee for arguments passed by address. */
  get data(): Hva {
    return hva(this.#stack - BigInt(DATA_SIZE));
  }

  /** The thread's own blocked signals, which it gets back; bit 0 is signal 1. */
  get signalMask(): bigint {
    return this.#mask;
  }

  /** Changes the blocked signals that the thread gets when the scope is left. */
  set signalMask(mask: bigint) {
    this.#mask = mask;
  }

  /**
   * One system call in the tracee.
   *
   * @param name the call
   * @param words arguments; addresses are the tracee's
   * @returns its result
   * @throws RemoteCallError with the kernel's error number; TraceeError HM_TRACEE_GONE or HM_TRACEE_STUCK
   */
  call(name: SystemCallName, ...words: readonly (bigint | number)[]): bigint {
    return this.callMeanwhile(() => {}, name, ...words);
  }

  /**
   * The same for a call that waits for something we have to do.
   *
   * @param meanwhile done again and again until the call returns
   */
  callMeanwhile(meanwhile: () => void, name: SystemCallName, ...words: readonly (bigint | number)[]): bigint {
    refuseAdrift(this.pid);
    // SAFETY: the registers lead through one system call back to the signal frame; what the call changes is the caller's matter.
    ptrace.writeRegisters(this.tid, this.#registersFor(name, words.map(BigInt)));
    this.#calls += 1;
    this.#toSystemCallStop(() => {}); // entry
    this.#toSystemCallStop(meanwhile); // exit
    const architecture = currentArchitecture();
    const registers = ptrace.readRegisters(this.tid);
    const expected = this.#gadgets.call + BigInt(architecture.callGadgetReturn);
    if (architecture.registers.instructionPointer(registers) !== expected) {
      throw new TraceeError(
        "HM_TRACEE_CONFUSED",
        `Thread ${this.tid} did not return from ${name} where it must`,
      );
    }
    const result = architecture.registers.callResult(registers);
    if (result < 0n && result >= -4095n) throw new RemoteCallError(name, Number(-result));
    return result;
  }

  /**
   * One last system call, after which the thread comes home by itself, through the signal frame. The scope is over; the thread still
   * stands.
   *
   * @param words arguments, as for {@link call}; what they point to may lie in {@link data}
   */
  leaveWith(name: SystemCallName, ...words: readonly (bigint | number)[]): void {
    // SAFETY: the registers lead through one system call back to the signal frame, whether we live or die.
    ptrace.writeRegisters(this.tid, this.#registersFor(name, words.map(BigInt)));
    this.#alive = false;
  }

  #registersFor(name: SystemCallName, words: readonly bigint[]): Registers {
    const { registers, systemCalls } = currentArchitecture();
    return registers.forCall(
      this.#saved,
      { number: systemCalls[name], words },
      this.#gadgets.call,
      this.#stack,
    );
  }

  #toSystemCallStop(meanwhile: () => void): void {
    let deliver = 0;
    for (;;) {
      ptrace.resumeToSystemCall(this.tid, deliver);
      const { status } = this.#nextStop(meanwhile);
      if (status.kind === "system-call") return;
      if (status.kind === "exited" || status.kind === "killed") {
        this.#alive = false;
        throw new TraceeError("HM_TRACEE_GONE", `Thread ${this.tid} ended during a remote call`);
      }
      deliver = this.#passOver(status);
    }
  }

  #nextStop(meanwhile: () => void): ThreadEvent {
    try {
      return nextStop(this.tid, meanwhile);
    } catch (error) {
      if (isStuck(error)) noteAdrift(this.pid);
      throw error;
    }
  }

  /**
   * Everything else is blocked, so only a stop of the whole process can come here. It takes effect for the other threads at
   * once; this one goes on until the scope is left, and then finds out whether the stop still lasts.
   *
   * @returns the signal to deliver
   */
  #passOver(status: WaitStatus): number {
    const stopping = status.kind === "signal" && status.signal === signal.SIGSTOP;
    if (stopping || isGroupStop(status)) this.#stoppedByGroup = true;
    else if (status.kind === "signal") {
      throw new TraceeError("HM_TRACEE_CONFUSED", `Thread ${this.tid} got a signal in a remote call`, {
        present: `signal ${status.signal}`,
      });
    }
    return stopping ? signal.SIGSTOP : 0;
  }

  /** Gives mask and registers back. The thread stays stopped; a signal it had stopped for is gone if there was a call. */
  [Symbol.dispose](): void {
    if (!this.#alive) return;
    try {
      if (this.#calls > 0 && currentArchitecture().registers.restartPending(this.#saved))
        this.#backIntoSignalHandling();
      // SAFETY: mask before registers: until the registers are its own, the thread's way back restores the mask as well.
      ptrace.writeSignalMask(this.tid, this.#mask);
      ptrace.writeRegisters(this.tid, this.#saved);
      // SAFETY: once let go the thread stops again at once: in the group-stop if that lasts, otherwise for us to resume it.
      if (this.#stoppedByGroup) ptrace.interrupt(this.tid);
    } catch (error) {
      // The thread was killed meanwhile: there is nothing left to give back to. Anything else is a fault of ours.
      if (!isGone(error)) throw error;
    }
  }

  /**
   * A thread that was interrupted in a system call is restarted by the kernel only on its way out of signal handling
   * (arch_do_signal_or_restart). Our last call left it at a system call exit, past that point: bring it there again.
   */
  #backIntoSignalHandling(): void {
    // SAFETY: the interrupt is pending before the thread is resumed, so it stops before it runs an instruction.
    ptrace.interrupt(this.tid);
    let deliver = 0;
    for (;;) {
      ptrace.resume(this.tid, deliver);
      const { status } = nextStop(this.tid);
      deliver = this.#passOver(status);
      if (status.kind === "event" && status.event === ptraceEvent.STOP) return;
    }
  }
}

/** PTRACE_EVENT_STOP with a stopping signal, see ptrace(2) under PTRACE_SEIZE. */
function isGroupStop(status: WaitStatus): boolean {
  return status.kind === "event" && status.event === ptraceEvent.STOP && status.signal !== signal.SIGTRAP;
}

/** Whether an error of ptrace says that the thread no longer exists. */
export function isGone(error: unknown): boolean {
  if (error instanceof TraceeError) return error.code === "HM_TRACEE_GONE";
  return error instanceof Error && "errno" in error && error.errno === 3;
}
