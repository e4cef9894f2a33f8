/** How doctor's findings look on a screen. */

import type { Diagnosis, Finding, Severity } from "../guard/doctor/finding.js";
import { printable } from "./printable.js";

/** Where the report goes. */
export interface ReportStyle {
  readonly color: boolean;
  /** Columns of the screen. */
  readonly width: number;
}

const COLORS: Readonly<Record<Severity, string>> = { ok: "32", note: "36", warning: "33", blocker: "31;1" };
const LABEL_WIDTH = "blocker".length;
const CODE_PREFIX = "HM_DOCTOR_";

function paint(text: string, color: string, style: ReportStyle): string {
  return style.color ? `\u001b[${color}m${text}\u001b[0m` : text;
}

/** Breaks at blanks; a word longer than a line stays whole, so that it can be copied. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function findingLines(finding: Finding, codeWidth: number, style: ReportStyle): string[] {
  const indent = LABEL_WIDTH + codeWidth + 4;
  const width = Math.max(style.width - indent, 30);
  const label = paint(finding.severity.padEnd(LABEL_WIDTH), COLORS[finding.severity], style);
  const name = finding.code.slice(CODE_PREFIX.length).padEnd(codeWidth);
  const text = [
    ...wrap(printable(finding.message), width),
    ...(finding.cost === undefined ? [] : wrap(`Cost: ${printable(finding.cost)}`, width)),
    ...(finding.fix === undefined ? [] : wrap(`Fix:  ${printable(finding.fix)}`, width)),
  ];
  return text.map((line, index) =>
    index === 0 ? `${label}  ${name}  ${line}` : `${" ".repeat(indent)}${line}`,
  );
}

function verdict(diagnosis: Diagnosis, pid: number | undefined, style: ReportStyle): string {
  const subject = pid === undefined ? "Virtual machines on this host" : `The virtual machine ${pid}`;
  const count = (severity: Severity) =>
    diagnosis.findings.filter((finding) => finding.severity === severity).length;
  const blockers = count("blocker");
  if (blockers > 0) {
    const text = `${subject} cannot be protected: ${blockers} ${blockers === 1 ? "blocker" : "blockers"}.`;
    return paint(text, COLORS.blocker, style);
  }
  const warnings = count("warning");
  const tail = warnings === 0 ? "." : `, with ${warnings} ${warnings === 1 ? "warning" : "warnings"}.`;
  return paint(`${subject} can be protected${tail}`, warnings === 0 ? COLORS.ok : COLORS.warning, style);
}

/**
 * @param diagnosis what was found
 * @param pid the process that was looked at, if any
 * @param style of the screen
 * @returns the report, ending with a newline
 */
export function renderDiagnosis(diagnosis: Diagnosis, pid: number | undefined, style: ReportStyle): string {
  const codeWidth = Math.max(...diagnosis.findings.map(({ code }) => code.length - CODE_PREFIX.length), 0);
  const lines = diagnosis.findings.flatMap((finding) => findingLines(finding, codeWidth, style));
  return `${[...lines, "", verdict(diagnosis, pid, style)].join("\n")}\n`;
}

/** @param diagnosis what was found @returns one JSON object on one line, ending with a newline */
export function renderJson(diagnosis: Diagnosis): string {
  const { ok, findings, selfTest } = diagnosis;
  return `${JSON.stringify({ event: "doctor", ok, findings, ...(selfTest && { selfTest }) })}\n`;
}
