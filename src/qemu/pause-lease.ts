import type { ResumedBy } from "../ledger/internal-events.js";
import type { ExecuteOptions } from "./qmp-connection.js";

/** How a lease ended: `found` when the VM had stood before us, else as in the ledger. */
export type PauseEnd = ResumedBy | "found";

/** The VM stands still until `resume`. */
export interface PauseLease extends AsyncDisposable {
  /** The run state found before: `running`, `paused`, `prelaunch`, … (QEMU: qapi/run-state.json, RunState). */
  readonly status: string;
  /** Whether we paused it; else it stays as it is afterwards. */
  readonly own: boolean;
  /** Whether that state means that disk I/O was drained; false for `suspended`, `inmigrate`, … and unknown ones. */
  readonly drained: boolean;
  /** Somebody let the VM run meanwhile, or the connection was lost. Never becomes false again. */
  readonly interrupted: boolean;
  /** Whether the VM still stands, as far as QEMU's events have been read. */
  held(): boolean;
  /** Asks QEMU first, so that no event is outstanding. Its main loop must be able to answer. */
  confirmHeld(options?: ExecuteOptions): Promise<boolean>;
  /**
   * Lets the VM run if we paused it and nobody else wants it to stand. May be called again: same result.
   * @throws QemuError HM_QUIESCE_STUCK when QEMU does not resume in time (retries go on behind), HM_QUIESCE_LOST when
   *   the connection is gone for good: the VM may stand still, unless QEMU has ended; what the journal throws, after
   *   the VM runs
   */
  resume(): Promise<PauseEnd>;
}
