import { factLines, recoveryFacts } from "./recovery-facts.js";
import type { SideResult } from "./side.js";

/** The demo's end on a terminal: the table, then the timeline of the recovery. */
export function demoText(stock: SideResult, hugemend: SideResult): string {
  const rows: (readonly [string, string, string])[] = [
    ["", "stock QEMU", "with hugemend"],
    ["pages intact", String(stock.ok), String(hugemend.ok)],
    ["pages lost", String(stock.lost), String(hugemend.lost)],
    ["pages corrupt", String(stock.corrupt), String(hugemend.corrupt)],
    ["machine checks in the guest", count(stock), count(hugemend)],
    ["VM survived", stock.survived ? "yes" : "NO", hugemend.survived ? "yes" : "NO"],
  ];
  const table = rows.map(
    ([name, left, right]) => `  ${name.padEnd(30)}${left.padStart(14)}${right.padStart(16)}`,
  );
  const deaths = [stock.died, hugemend.died].filter((text) => text !== undefined).map((text) => `  ${text}`);
  const facts = recoveryFacts(hugemend.recovered);
  const recovery =
    facts === undefined
      ? ["  no recovery took place"]
      : factLines(facts).map(([name, value]) => `  ${name.padEnd(30)} ${value}`);
  const moments = [...hugemend.moments]
    .sort((a, b) => a.ms - b.ms)
    .map((moment) => `  ${`${moment.ms.toFixed(0)} ms`.padStart(10)}  ${moment.text}`);
  return [
    "",
    ...table,
    ...deaths,
    "",
    "The recovery, as the guard tells it:",
    ...recovery,
    "",
    "Timeline seen from outside (everything runs under emulation, so times are far longer than on hardware):",
    ...moments,
    "",
  ].join("\n");
}

function count(side: SideResult): string {
  return side.machineChecks === undefined ? "unknown" : String(side.machineChecks);
}
