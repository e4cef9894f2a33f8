import { escapeHtml } from "../escape-html.js";
import { hex } from "../victim.js";
import { filledPages } from "../victim-config.js";
import { largePagePicture, lostInPicture } from "./picture.js";
import { factLines, recoveryFacts } from "./recovery-facts.js";
import { reportStyle } from "./report-style.js";
import type { SideResult } from "./side.js";

/**
 * The demo as one HTML page that needs no network: both large pages as pictures, the counts, the recovery and its timeline.
 *
 * @param when time of the demo, for the foot
 */
export function demoReport(stock: SideResult, hugemend: SideResult, when: Date): string {
  const factor = hugemend.lost > 0 ? Math.round(stock.lost / hugemend.lost) : 0;
  const headline =
    factor > 1
      ? `One bad 4 KiB: ${count(stock.lost)} pages lost without Hugemend, ${count(hugemend.lost)} with it`
      : "One bad 4 KiB, with and without Hugemend";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hugemend demo</title>
<style>${reportStyle}</style>
<main>
<header>
<p class="kicker">Hugemend demo</p>
<h1>${headline}</h1>
<p>Two identical virtual machines (stock QEMU with KVM, RAM on 2 MiB pages) filled ${count(filledPages)} pages of memory with a checked
pattern. In both, the host's kernel was then told that the 4 KiB at guest-physical address <code>${hex(hugemend.badGpa)}</code> had failed.
The guest read everything back.</p>
</header>
<section class="sides">${sideCard("Stock QEMU", stock)}${sideCard("With <code>hugemend guard</code>", hugemend)}</section>
<p class="legend"><span class="key intact"></span>intact <span class="key lost"></span>lost
<span class="key lost bad"></span>the 4 KiB that really failed · each square is 4 KiB, all of them are one 2 MiB page</p>
${comparison(stock, hugemend)}
${recovery(hugemend)}
<footer>${escapeHtml(when.toISOString())} · measured in a virtual machine inside an emulated host: counts are exact, times are far longer than on
hardware.</footer>
</main>
</html>
`;
}

function sideCard(title: string, side: SideResult): string {
  const lost = lostInPicture(side);
  const verdict = side.survived ? "VM runs on" : "VM died";
  return `<article><h2>${title}</h2><p class="big"><strong>${lost}</strong> of 512 lost <span class="${side.survived ? "good" : "ill"}">${verdict}</span></p>
${largePagePicture(side, `${lost} of 512 small pages lost`)}${side.died === undefined ? "" : `<p>${escapeHtml(side.died)}</p>`}</article>`;
}

function comparison(stock: SideResult, hugemend: SideResult): string {
  const checks = (side: SideResult): string =>
    side.machineChecks === undefined ? "unknown" : count(side.machineChecks);
  const rows: (readonly [string, string, string])[] = [
    ["Pages intact", count(stock.ok), count(hugemend.ok)],
    ["Pages lost", count(stock.lost), count(hugemend.lost)],
    ["Pages corrupt", count(stock.corrupt), count(hugemend.corrupt)],
    ["Machine checks in the guest", checks(stock), checks(hugemend)],
    ["VM survived", stock.survived ? "yes" : "no", hugemend.survived ? "yes" : "no"],
  ];
  const body = rows
    .map(([name, left, right]) => `<tr><th>${name}</th><td>${left}</td><td>${right}</td></tr>`)
    .join("");
  return `<section><h2>Count</h2><table><thead><tr><th></th><th>Stock</th><th>Hugemend</th></tr></thead><tbody>${body}</tbody></table></section>`;
}

function recovery(side: SideResult): string {
  const facts = recoveryFacts(side.recovered);
  const lines =
    facts === undefined
      ? "<p>No recovery took place.</p>"
      : `<dl>${factLines(facts)
          .map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`)
          .join("")}</dl>`;
  const moments = [...side.moments]
    .sort((a, b) => a.ms - b.ms)
    .map(
      (moment) => `<li><time>${moment.ms.toFixed(0)} ms</time><span>${escapeHtml(moment.text)}</span></li>`,
    )
    .join("");
  return `<section><h2>The recovery</h2>${lines}<h3>Seen from outside, after the error</h3><ol class="timeline">${moments}</ol></section>`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
