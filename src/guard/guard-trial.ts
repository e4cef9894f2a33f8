/** How a guard is tried where memory cannot be made to fail. */

import type { BusError } from "../linux/signal-info.js";
import type { LossRoute } from "../qemu/qemu-release.js";
import type { GuardContext, GuardStep } from "./guard-context.js";

/** What can be exchanged to try a guard on a machine whose memory cannot be made to fail. Never set in production. */
export interface GuardTrial {
  /** Where a large page is read instead of its file. */
  readonly sourceOf?: GuardContext["sourceOf"];
  /** Whether a large page that reads without an error is replaced as well. */
  readonly acceptsIntact?: boolean;
  /** Whether large pages are replaced eagerly without a spare: as when the next one is not ready yet. */
  readonly withoutPopulated?: boolean;
  /** How QEMU learns of lost pages, whatever its release. */
  readonly lossRoute?: LossRoute;
  /** What a SIGBUS means: a kernel without CONFIG_MEMORY_FAILURE reports poison markers as BUS_ADRERR. */
  readonly interpret?: (error: BusError) => BusError;
  /** Called at each named point of the walk. */
  readonly onStep?: (step: GuardStep) => void;
  /** Offsets in every large page that are called bad whatever its file says. */
  readonly pretendBad?: readonly number[];
  /** For how long a guard that does not start waits until it can fill what a dead one has left, in milliseconds. */
  readonly fillPatienceMs?: number;
  /** What the kernel is said to have reported. */
  readonly reportedBad?: GuardContext["reportedBad"];
}
