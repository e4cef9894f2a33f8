import { z } from "zod";
import type { GuardEvent } from "../lab-guard.js";

const schema = z.object({
  pageSize: z.number(),
  lost: z.array(z.object({ gpa: z.string().nullable(), bytes: z.number() })),
  salvagedBytes: z.number(),
  trigger: z.string(),
  quiesced: z.boolean(),
  ms: z.object({ stall: z.number(), downtime: z.number(), total: z.number() }),
});

/** The parts of a `recovered` event that the demo shows, checked. Sizes in bytes, times in milliseconds. */
export interface RecoveryFacts {
  readonly pageSize: number;
  readonly lost: readonly { readonly gpa: string | null; readonly bytes: number }[];
  readonly salvagedBytes: number;
  readonly trigger: string;
  readonly quiesced: boolean;
  readonly ms: { readonly stall: number; readonly downtime: number; readonly total: number };
}

/** @returns undefined when there was no recovery */
export function recoveryFacts(event: GuardEvent | undefined): RecoveryFacts | undefined {
  return event === undefined ? undefined : schema.parse(event);
}

/** Name and value of each fact, for the table and the report. */
export function factLines(facts: RecoveryFacts): (readonly [string, string])[] {
  const lost = facts.lost.map((range) => `${range.gpa ?? "unknown"} (${range.bytes} bytes)`).join(", ");
  const trigger =
    facts.trigger === "AO"
      ? "the kernel's report, before anyone touched the page (AO)"
      : "a vCPU's access (AR)";
  return [
    ["Triggered by", trigger],
    ["Stall of the stopped thread", `${facts.ms.stall.toFixed(1)} ms`],
    ["Downtime of the VM", facts.quiesced ? `${facts.ms.downtime.toFixed(1)} ms` : "none, it was not paused"],
    ["Report to end of recovery", `${facts.ms.total.toFixed(1)} ms`],
    ["Salvaged", `${facts.salvagedBytes} of ${facts.pageSize} bytes`],
    ["Lost gpa", lost === "" ? "none" : lost],
  ];
}
