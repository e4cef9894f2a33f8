import { z } from "zod";

const schema = z.object({
  pid: z.int(),
  ledger: z.string(),
  qmp: z.string().optional(),
  quiesce: z.enum(["auto", "always", "never"]).default("auto"),
  fill: z.enum(["eager", "lazy", "auto"]).default("auto"),
  fillRate: z.number().optional(),
  whenShort: z.enum(["refuse", "touched"]).default("refuse"),
  unreported: z.boolean().default(false),
  giveBack: z.boolean().default(false),
  withoutPopulated: z.boolean().default(false),
  lost: z.array(z.int()).default([]),
  readFrom: z.string().default(""),
  acceptsIntact: z.boolean().default(true),
  fillPatienceMs: z.int().optional(),
  killAt: z.string().default(""),
  killAfter: z.int().default(1),
  blockAt: z.object({ step: z.string(), ms: z.int() }).optional(),
  takePage: z.object({ step: z.string(), file: z.string(), size: z.int() }).optional(),
  lossRoute: z.enum(["signal", "monitor"]).optional(),
  signals: z.array(z.object({ step: z.string(), signal: z.int() })).default([]),
});

/** What a test writes: what is missing has its default. */
export type DriverInput = Pick<DriverOptions, "pid" | "ledger"> & Partial<DriverOptions>;

/** What a test tells the driver. */
export interface DriverOptions {
  readonly pid: number;
  readonly ledger: string;
  readonly qmp: string | undefined;
  readonly quiesce: "auto" | "always" | "never";
  readonly fill: "eager" | "lazy" | "auto";
  /** As in the command; without a limit unless said. */
  readonly fillRate: number | undefined;
  readonly whenShort: "refuse" | "touched";
  /** Whether the kernel is taken to have said nothing of what is lost. */
  readonly unreported: boolean;
  readonly giveBack: boolean;
  /** Whether there is no spare for eager replacements. */
  readonly withoutPopulated: boolean;
  /** Offsets of 4 KiB pages that are called lost although they can be read. */
  readonly lost: readonly number[];
  /**
   * Address of the victim's RAM: then large pages are read from /proc/PID/mem instead of their file. The kernel gives EIO
   * there for each byte behind a poison marker, as it does in the file of a page it knows nothing good of.
   */
  readonly readFrom: string;
  /** Whether a page is replaced although all of it can be read: here a marker stands for the error, and no byte is bad. */
  readonly acceptsIntact: boolean;
  /** For how long one that does not start waits until it can fill what a dead guard has left; as in the command unless said. */
  readonly fillPatienceMs: number | undefined;
  /** The step at which the driver ends itself with SIGKILL; empty for never. */
  readonly killAt: string;
  /** At which occurrence of that step. */
  readonly killAfter: number;
  /** How long the driver hears and sees nothing, at each occurrence of a step. */
  readonly blockAt: { readonly step: string; readonly ms: number } | undefined;
  /** A large page that is taken at the first occurrence of a step, for as long as this file exists: the pool is empty then. */
  readonly takePage: { readonly step: string; readonly file: string; readonly size: number } | undefined;
  /** How QEMU learns of lost pages, whatever its release. */
  readonly lossRoute: "signal" | "monitor" | undefined;
  /** Signals for the victim, sent at the first occurrence of a step. */
  readonly signals: readonly { readonly step: string; readonly signal: number }[];
}

/** @param text JSON @throws if it is not what a driver understands */
export function driverOptions(text: string | undefined): DriverOptions {
  const parsed = schema.parse(JSON.parse(text ?? "{}"));
  return {
    ...parsed,
    lossRoute: parsed.lossRoute,
    qmp: parsed.qmp,
    fillRate: parsed.fillRate,
    fillPatienceMs: parsed.fillPatienceMs,
    takePage: parsed.takePage,
    blockAt: parsed.blockAt,
  };
}
