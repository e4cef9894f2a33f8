import { z } from "zod";

const schema = z.object({
  pid: z.int(),
  ledger: z.string(),
  qmp: z.string().optional(),
  quiesce: z.enum(["auto", "always", "never"]).default("auto"),
  lost: z.array(z.int()).default([]),
  killAt: z.string().default(""),
  killAfter: z.int().default(1),
});

/** What a test tells the driver. */
export interface DriverOptions {
  readonly pid: number;
  readonly ledger: string;
  readonly qmp: string | undefined;
  readonly quiesce: "auto" | "always" | "never";
  /** Offsets of 4 KiB pages that are called lost although they can be read. */
  readonly lost: readonly number[];
  /** The step at which the driver ends itself with SIGKILL; empty for never. */
  readonly killAt: string;
  /** At which occurrence of that step. */
  readonly killAfter: number;
}

/** @param text JSON @throws if it is not what a driver understands */
export function driverOptions(text: string | undefined): DriverOptions {
  const parsed = schema.parse(JSON.parse(text ?? "{}"));
  return { ...parsed, qmp: parsed.qmp };
}
