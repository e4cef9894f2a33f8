import { HugemendError } from "../src/errors.js";

/** The lab could not do what it was asked: a missing tool, a command that failed, a wait that ran out. */
export class LabError extends HugemendError {
  override readonly name: string = "LabError";
}

/**
 * The lab host (L1) itself is gone: its heart stopped beating or its emulator ended. Emulated nested virtualization does that about
 * once in fifteen runs; it says nothing about Hugemend, so a scenario is run once more on a fresh lab host.
 */
export class LabHostLost extends LabError {
  override readonly name: string = "LabHostLost";

  /** @param what what was seen last, as a sentence without a final full stop */
  constructor(what: string) {
    super("HM_LAB_HOST_LOST", what);
  }
}
