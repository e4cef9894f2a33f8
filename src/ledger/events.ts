/**
 * The public events: what `hugemend guard --json` prints and the ledger holds, one JSON object each.
 *
 * Addresses are hexadecimal strings (`0x7f12a0000000`), sizes and file offsets are numbers of bytes, times are
 * milliseconds. A `gpa` is null when the guard runs without a QMP socket: only QEMU knows guest addresses.
 */

import { z } from "zod";

/** What revealed the error: action required (an access hit it) or action optional (found before any access). */
export type Trigger = "AR" | "AO";
/** How a replacement gets its bytes: all before the VM goes on, or on demand. */
export type Fill = "eager" | "lazy";

/** One RAM region of the VM as the guard found it. */
export interface RamRegion {
  /** QEMU's RAM block name, or the mapping's file when there is no QMP socket. */
  readonly id: string;
  readonly hva: string;
  readonly size: number;
  readonly pageSize: number;
  readonly shared: boolean;
  /** What backs it: a path, `memfd`, `anonymous`. */
  readonly backing: string;
}

/** A spare: what a replacement will be made of lies ready in the VM. */
export interface KitPart {
  /** Bytes of the large pages it can stand for. */
  readonly pageSize: number;
  /** Memory that it takes, page tables not counted. */
  readonly bytes: number;
  /** Address space that it takes. */
  readonly addressSpace: number;
  /** Descriptors that it keeps open in the VM. */
  readonly descriptors: number;
}

/** The guard holds every thread and will act on errors from now on. */
export interface ReadyEvent {
  readonly event: "ready";
  readonly pid: number;
  readonly threads: number;
  readonly ram: readonly RamRegion[];
  /** What the guard has laid out in the VM; each part is used once and laid out anew. Absent in older ledgers. */
  readonly kit?: readonly KitPart[];
}

/** Something limits the protection, or will matter later. */
export interface WarningEvent {
  readonly event: "warning";
  readonly code: string;
  readonly message: string;
}

/** A run of lost bytes; `bytes` is a multiple of 4096. `gpa` is null without a QMP socket. */
export interface LostRange {
  readonly gpa: string | null;
  readonly bytes: number;
}

/** How long things took, in milliseconds. */
export interface RecoveryTimes {
  /** The faulting thread stood still this long. */
  readonly stall: number;
  /** The whole VM was paused this long; 0 when it was not. */
  readonly downtime: number;
  /** From the first report to the end of the recovery. */
  readonly total: number;
}

/** One large page was replaced by small ones. Stable: fields may be added, never changed or removed. */
export interface RecoveredEvent {
  readonly event: "recovered";
  readonly hva: string;
  readonly gpa: string | null;
  /** Offset of the large page in its backing file, in bytes. */
  readonly offset: number;
  readonly pageSize: number;
  readonly lost: readonly LostRange[];
  readonly salvagedBytes: number;
  readonly trigger: Trigger;
  readonly fill: Fill;
  readonly quiesced: boolean;
  readonly ms: RecoveryTimes;
}

/** A lazy recovery has copied its last byte. */
export interface FilledEvent {
  readonly event: "filled";
  readonly hva: string;
  readonly gpa: string | null;
  readonly pageSize: number;
  readonly lost: readonly LostRange[];
  readonly salvagedBytes: number;
  /** Ranges of 2 MiB without a lost page, and how many of them are backed by one page again. */
  readonly large: { readonly ranges: number; readonly collapsed: number };
  readonly ms: { readonly total: number };
}

/** A poisoned large page has left its file, for nobody needs it any more (`--give-back`). */
export interface ReturnedEvent {
  readonly event: "returned";
  readonly hva: string;
  readonly gpa: string | null;
  readonly pageSize: number;
  /** What the host can use again of it, measured; 0 if the kernel keeps all of it. */
  readonly bytes: number;
}

/** A lost page was touched and handed to QEMU, by its signal or through its monitor. `hva` tells which page when `gpa` is null. */
export interface PoisonEvent {
  readonly event: "poison";
  readonly gpa: string | null;
  readonly trigger: Trigger;
  readonly hva?: string;
}

/** An error was left to QEMU: the mapping is as it was. */
export interface RefusedEvent {
  readonly event: "refused";
  readonly hva: string;
  readonly pageSize: number;
  readonly code: string;
  readonly message: string;
}

/** The large page is back. `hva` ties it to its recovery when that one knew no gpa. */
export interface HealedEvent {
  readonly event: "healed";
  readonly gpa: string | null;
  readonly pageSize: number;
  readonly hva?: string;
}

/** The guard has let go of the process. */
export interface DetachedEvent {
  readonly event: "detached";
  readonly reason: string;
}

/** Every event a script can see. */
export type PublicEvent =
  | ReadyEvent
  | WarningEvent
  | RecoveredEvent
  | FilledEvent
  | ReturnedEvent
  | PoisonEvent
  | RefusedEvent
  | HealedEvent
  | DetachedEvent;

/** `0x` and 1 to 16 lower-case digits, as `hex()` in linux/address.ts writes them. */
export const addressSchema: z.ZodType<string> = z.string().regex(/^0x(0|[1-9a-f][0-9a-f]{0,15})$/);
/** A size or offset in bytes that a number holds exactly. */
export const bytesSchema: z.ZodType<number> = z.int().nonnegative();
/** Size of a large page in bytes: a power of two, 4 KiB to 16 GiB (arm64's largest). */
export const pageSizeSchema: z.ZodType<number> = z
  .int()
  .min(4096)
  .max(2 ** 34)
  .refine((size) => Number.isInteger(Math.log2(size)), "not a power of two");
/** See {@link Trigger}. */
export const triggerSchema: z.ZodType<Trigger> = z.enum(["AR", "AO"]);
/** See {@link Fill}. */
export const fillSchema: z.ZodType<Fill> = z.enum(["eager", "lazy"]);

const gpaSchema = addressSchema.nullable();
const idSchema = z.int().positive();
const msSchema = z.number().nonnegative();
const lostSchema = z.array(z.object({ gpa: gpaSchema, bytes: bytesSchema }));

/** One schema per public event, by its name. Unknown fields are dropped. */
export const PUBLIC_SCHEMAS: { readonly [E in PublicEvent as E["event"]]: z.ZodType<E> } = {
  ready: z.object({
    event: z.literal("ready"),
    pid: idSchema,
    threads: z.int().nonnegative(),
    ram: z.array(
      z.object({
        id: z.string(),
        hva: addressSchema,
        size: bytesSchema,
        pageSize: pageSizeSchema,
        shared: z.boolean(),
        backing: z.string(),
      }),
    ),
    kit: z
      .array(
        z.object({
          pageSize: pageSizeSchema,
          bytes: bytesSchema,
          addressSpace: bytesSchema,
          descriptors: z.int().nonnegative(),
        }),
      )
      .exactOptional(),
  }),
  warning: z.object({ event: z.literal("warning"), code: z.string(), message: z.string() }),
  recovered: z.object({
    event: z.literal("recovered"),
    hva: addressSchema,
    gpa: gpaSchema,
    offset: bytesSchema,
    pageSize: pageSizeSchema,
    lost: lostSchema,
    salvagedBytes: bytesSchema,
    trigger: triggerSchema,
    fill: fillSchema,
    quiesced: z.boolean(),
    ms: z.object({ stall: msSchema, downtime: msSchema, total: msSchema }),
  }),
  filled: z.object({
    event: z.literal("filled"),
    hva: addressSchema,
    gpa: gpaSchema,
    pageSize: pageSizeSchema,
    lost: lostSchema,
    salvagedBytes: bytesSchema,
    large: z.object({ ranges: z.int().nonnegative(), collapsed: z.int().nonnegative() }),
    ms: z.object({ total: msSchema }),
  }),
  returned: z.object({
    event: z.literal("returned"),
    hva: addressSchema,
    gpa: gpaSchema,
    pageSize: pageSizeSchema,
    bytes: bytesSchema,
  }),
  poison: z.object({
    event: z.literal("poison"),
    gpa: gpaSchema,
    trigger: triggerSchema,
    hva: addressSchema.exactOptional(),
  }),
  refused: z.object({
    event: z.literal("refused"),
    hva: addressSchema,
    pageSize: pageSizeSchema,
    code: z.string(),
    message: z.string(),
  }),
  healed: z.object({
    event: z.literal("healed"),
    gpa: gpaSchema,
    pageSize: pageSizeSchema,
    hva: addressSchema.exactOptional(),
  }),
  detached: z.object({ event: z.literal("detached"), reason: z.string() }),
};
