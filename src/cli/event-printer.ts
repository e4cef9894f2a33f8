/** Prints events: JSON lines for scripts, one sentence a line for people. */

import type { KitPart, PublicEvent } from "../ledger/events.js";
import { printable } from "./printable.js";

/** @param json whether a script listens @param write where it goes */
export function eventPrinter(json: boolean, write: (line: string) => void): (event: PublicEvent) => void {
  if (json) return (event) => write(`${JSON.stringify(event)}\n`);
  return (event) =>
    write(`${new Date().toISOString()} ${event.event.padEnd(9)} ${printable(sentence(event))}\n`);
}

/** @returns one event in words */
export function sentence(event: PublicEvent): string {
  switch (event.event) {
    case "ready": {
      const ram = event.ram.map(
        (region) =>
          `${region.id} ${size(region.size)} in pages of ${size(region.pageSize)}${region.shared ? "" : ", private"}`,
      );
      return `guarding process ${event.pid}, ${event.threads} ${event.threads === 1 ? "thread" : "threads"}; RAM: ${ram.join("; ") || "none on large pages"}${kitWords(event.kit ?? [])}`;
    }
    case "warning":
    case "refused":
      return `${event.code}: ${event.message}`;
    case "recovered": {
      const lost = event.lost
        .map((range) => `${range.bytes} bytes at gpa ${range.gpa ?? "unknown"}`)
        .join(", ");
      return (
        `large page of ${size(event.pageSize)} at gpa ${event.gpa ?? "unknown"} (hva ${event.hva}) replaced; ` +
        `${event.salvagedBytes} bytes saved, lost: ${lost || "nothing"}; stall ${event.ms.stall} ms, downtime ${event.ms.downtime} ms`
      );
    }
    case "filled":
      return (
        `large page at gpa ${event.gpa ?? "unknown"} filled after ${event.ms.total} ms, ` +
        `${event.large.collapsed} of ${event.large.ranges} ranges of 2 MiB are large again`
      );
    case "returned":
      return (
        `poisoned page at gpa ${event.gpa ?? "unknown"} has left its file; ` +
        (event.bytes > 0
          ? `${event.bytes} bytes are free again`
          : "the kernel keeps all of it, the host gains nothing")
      );
    case "poison":
      return `lost page at gpa ${event.gpa ?? "unknown"} was touched and handed to QEMU`;
    case "healed":
      return `large page of ${size(event.pageSize)} at gpa ${event.gpa ?? "unknown"} is back`;
    case "detached":
      return event.reason;
  }
}

function kitWords(kit: readonly KitPart[]): string {
  const sum = (of: (part: KitPart) => number): number => kit.reduce((total, part) => total + of(part), 0);
  const descriptors = sum((part) => part.descriptors);
  if (kit.length === 0) return "";
  return `; ready in it: ${size(sum((part) => part.bytes))} of memory, ${descriptors} ${descriptors === 1 ? "descriptor" : "descriptors"}`;
}

/** @returns `2 MiB`, `512 KiB`, `17 bytes` */
export function size(bytes: number): string {
  for (const [unit, name] of [
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
  ] as const) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit} ${name}`;
  }
  return `${bytes} bytes`;
}
