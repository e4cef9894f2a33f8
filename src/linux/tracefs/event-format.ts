/**
 * The `format` file of a trace event (Documentation/trace/events.rst, "Event formats"; kernel/trace/trace_events.c f_show()),
 * and the lines that the kernel prints by it.
 *
 * A line is read by the names of the fields in it, never by their position: kernels add, move and reword what they print.
 */

import { LinuxError } from "../linux-error.js";

/** One event, ready to read its lines. */
export interface EventFormat {
  /** Such as `memory_failure_event`. */
  readonly name: string;
  /** Every field of the record, also those that are not printed. */
  readonly fields: ReadonlySet<string>;
  /** Fields that its lines show, in order. */
  readonly printed: readonly string[];
  /** One group for each printed field. */
  readonly pattern: RegExp;
}

/** What one line says: printed fields by name, numbers as the kernel wrote them (`0x15e21`, `7`). */
export type EventFields = ReadonlyMap<string, string>;

/** More than any event of a real kernel has. */
const MOST_FIELDS = 64;

/**
 * @param text the whole of a `format` file
 * @throws LinuxError HM_TRACE_FORMAT when it does not say how the event is printed
 */
export function parseEventFormat(text: string): EventFormat {
  const name = /^name: (\w{1,128})$/m.exec(text)?.[1];
  const fields = [...text.matchAll(/^\tfield:[^;]*?(\w{1,128})(?:\[[^\]]*\])?;/gm)].flatMap(([, field]) =>
    field === undefined ? [] : [field],
  );
  const print = /^print fmt: "((?:[^"\\]|\\.)*)"(.*)$/ms.exec(text);
  if (name === undefined || print === null || fields.length === 0 || fields.length > MOST_FIELDS)
    throw unexpected(text);
  const [, template = "", rest = ""] = print;
  const printed = argumentsOf(rest).map((argument) => /REC->(\w+)/.exec(argument)?.[1] ?? "");
  const { source, values } = patternOf(template);
  if (values !== printed.length || values > MOST_FIELDS) throw unexpected(text);
  return { name, fields: new Set(fields), printed, pattern: new RegExp(`^${name}: ${source}$`) };
}

/**
 * @param line one line of `trace_pipe` without its context (option `context-info` off)
 * @returns the fields it shows, undefined if it is not this event's
 */
export function readEventLine(format: EventFormat, line: string): EventFields | undefined {
  const found = format.pattern.exec(line);
  if (found === null) return undefined;
  return new Map(
    format.printed.flatMap((field, index) =>
      field === "" ? [] : [[field, found[index + 1] ?? ""] as const],
    ),
  );
}

/**
 * Events that the kernel had no room for: `CPU:3 [LOST 12 EVENTS]` (kernel/trace/trace_output.c, test_can_verify and
 * print_trace_line()).
 */
export function isLostEvents(line: string): boolean {
  return /^CPU:\d+ \[LOST (?:\d+ )?EVENTS\]$/.test(line);
}

/** A regular expression with one group for each conversion of a printf template. */
function patternOf(template: string): { source: string; values: number } {
  let source = "";
  let values = 0;
  let at = 0;
  for (const found of template.matchAll(/%(?:%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?([a-zA-Z]))/g)) {
    source += literal(template.slice(at, found.index));
    at = found.index + found[0].length;
    const conversion = found[1];
    if (conversion === undefined) source += "%";
    else {
      values += 1;
      if (/[xX]/.test(conversion)) source += "((?:0x)?[0-9a-f]+)";
      else if (/[diu]/.test(conversion)) source += "(-?[0-9]+)";
      else source += "(.*?)";
    }
  }
  return { source: source + literal(template.slice(at)), values };
}

function literal(text: string): string {
  return text.replace(/\\(.)/g, "$1").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Splits what follows the template at the commas outside of brackets and texts. */
function argumentsOf(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let quoted = false;
  let from = -1;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] ?? "";
    if (quoted) {
      if (letter === "\\") at += 1;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if ("({[".includes(letter)) depth += 1;
    else if (")}]".includes(letter)) depth -= 1;
    else if (letter === "," && depth === 0) {
      if (from >= 0) found.push(text.slice(from, at));
      from = at + 1;
    }
  }
  if (from >= 0) found.push(text.slice(from));
  return found;
}

function unexpected(text: string): LinuxError {
  return new LinuxError("HM_TRACE_FORMAT", "The format of a trace event does not read as documented", {
    present: JSON.stringify(text.slice(0, 120)),
    expected: "name, fields and print fmt",
  });
}
