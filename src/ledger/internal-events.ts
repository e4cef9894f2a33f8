/** Records that only the ledger holds: what a restarted guard needs to carry on where a dead one stopped. */

import { z } from "zod";
import {
  addressSchema,
  bytesSchema,
  type Fill,
  fillSchema,
  pageSizeSchema,
  type Trigger,
  triggerSchema,
} from "./events.js";

/** Version of the ledger's meaning. Raised whenever an older guard could misread a newer ledger. */
export const LEDGER_FORMAT = 1;

/** A guard begins to act on the process: the first record it writes, before it touches anything. */
export interface AttachedEvent {
  readonly event: "attached";
  /** See {@link LEDGER_FORMAT}. */
  readonly format: number;
  readonly pid: number;
  /** Start time of the process in clock ticks since boot, decimal (proc_pid_stat(5), field 22). */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id: pid and start time may both come again after a reboot. */
  readonly bootId: string;
  readonly guardPid: number;
  /** Hugemend's version. */
  readonly version: string;
}

/** Which file backs a mapping, as fstat reports it. Decimal strings: both may exceed 2^53. */
export interface FileIdentity {
  readonly device: string;
  readonly inode: string;
}

/** A large page is about to be replaced. Written before the swap; `recovered` or `refused` for the same hva ends it. */
export interface IntentEvent {
  readonly event: "intent";
  readonly hva: string;
  /** Null without a QMP socket. */
  readonly gpa: string | null;
  /** Offset of the large page in the backing file, in bytes. */
  readonly offset: number;
  readonly pageSize: number;
  readonly file: FileIdentity;
  /** Byte offsets of the lost 4 KiB pages within the large page, ascending. */
  readonly lost: readonly number[];
  readonly trigger: Trigger;
  readonly fill: Fill;
  /** Why it is filled so. */
  readonly fillWhy?: string;
}

/**
 * The guest was reset, and a large page is about to be put back in the place of its small ones. Written before the first step;
 * `healed` or `unhealed` for the same hva ends it. A guard that finds it open must do it again.
 */
export interface HealingEvent {
  readonly event: "healing";
  readonly hva: string;
  /** Null when QEMU has not told. */
  readonly gpa: string | null;
  /** Offset of the large page in the backing file, in bytes. */
  readonly offset: number;
  readonly pageSize: number;
  /** Byte offsets of the 4 KiB pages that were lost when the guest was reset, ascending: nothing of these is expected any more. */
  readonly lost: readonly number[];
}

/** The small pages stay: an end of `healing`. */
export interface UnhealedEvent {
  readonly event: "unhealed";
  readonly hva: string;
  /** Why; `HM_HEAL_POOL_EMPTY` says that the lost pages are usable again, as small ones. */
  readonly code: string;
  /** Byte offsets of the pages that are lost still, ascending. */
  readonly lost: readonly number[];
}

/** A poisoned large page is about to leave its file by our hand. Written before: the hole is no sign of a reset of the guest. */
export interface ReturningEvent {
  readonly event: "returning";
  readonly hva: string;
}

/** We are about to send `stop`. Open until `resumed`: a guard that finds it open must undo the pause. */
export interface PausingEvent {
  readonly event: "pausing";
  /** The run state before, always one in which the VM ran. */
  readonly status: string;
}

/** How a pause of ours ended. */
export type ResumedBy =
  /** our `cont` */
  | "guard"
  /** somebody else's `cont` came first */
  | "other"
  /** somebody else paused the VM as well: it stays paused, and it is theirs */
  | "kept"
  /** `stop` never took effect */
  | "none"
  /** QEMU has ended */
  | "gone";

/** The pause that began with `pausing` is no longer ours to undo. */
export interface ResumedEvent {
  readonly event: "resumed";
  readonly by: ResumedBy;
}

/** Every record that is written to the ledger only. */
export type InternalEvent =
  | AttachedEvent
  | IntentEvent
  | HealingEvent
  | UnhealedEvent
  | ReturningEvent
  | PausingEvent
  | ResumedEvent;

const decimalSchema = z.string().regex(/^[0-9]{1,20}$/);
const SMALL_PAGE = 4096;
const lostSchema = z
  .array(bytesSchema)
  .refine(
    (lost) => lost.every((at, i) => at % SMALL_PAGE === 0 && at > (lost[i - 1] ?? -1)),
    "lost offsets must be ascending multiples of 4096",
  );

function insidePage({ lost, pageSize }: { lost: readonly number[]; pageSize: number }): boolean {
  return (lost.at(-1) ?? 0) < pageSize;
}
const OUTSIDE = "lost offsets must be below pageSize";

/** One schema per internal event, by its name. Unknown fields are dropped. */
export const INTERNAL_SCHEMAS: { readonly [E in InternalEvent as E["event"]]: z.ZodType<E> } = {
  attached: z.object({
    event: z.literal("attached"),
    format: z.int().positive(),
    pid: z.int().positive(),
    startTime: decimalSchema,
    bootId: z.string(),
    guardPid: z.int().positive(),
    version: z.string(),
  }),
  intent: z
    .object({
      event: z.literal("intent"),
      hva: addressSchema,
      gpa: addressSchema.nullable(),
      offset: bytesSchema,
      pageSize: pageSizeSchema,
      file: z.object({ device: decimalSchema, inode: decimalSchema }),
      lost: lostSchema,
      trigger: triggerSchema,
      fill: fillSchema,
      fillWhy: z.string().exactOptional(),
    })
    .refine(insidePage, OUTSIDE),
  healing: z
    .object({
      event: z.literal("healing"),
      hva: addressSchema,
      gpa: addressSchema.nullable(),
      offset: bytesSchema,
      pageSize: pageSizeSchema,
      lost: lostSchema,
    })
    .refine(insidePage, OUTSIDE),
  unhealed: z.object({
    event: z.literal("unhealed"),
    hva: addressSchema,
    code: z.string(),
    lost: lostSchema,
  }),
  returning: z.object({ event: z.literal("returning"), hva: addressSchema }),
  pausing: z.object({ event: z.literal("pausing"), status: z.string() }),
  resumed: z.object({ event: z.literal("resumed"), by: z.enum(["guard", "other", "kept", "none", "gone"]) }),
};
