/** `hugemend guard`: guards one VM until it ends or the guard is told to stop. */

import { Command, Option } from "commander";
import type { Guard } from "../guard/guard.js";
import type { EventSink } from "../guard/journal.js";
import { openGuard } from "../guard/open-guard.js";
import { eventPrinter } from "./event-printer.js";
import { exitCode, reportError } from "./exit-code.js";
import { parseFillRate } from "./fill-rate.js";
import { LineOutput } from "./line-output.js";
import { parseProcessId } from "./process-id.js";
import { requirePath } from "./required-path.js";

interface GuardOptions {
  readonly pid: string;
  readonly qmp?: string;
  readonly ledger: string;
  readonly quiesce: "auto" | "always" | "never";
  readonly poisonWith: "uffd" | "hwpoison";
  readonly fill: "eager" | "lazy" | "auto";
  readonly fillRate?: string;
  readonly giveBack?: boolean;
  readonly whenShort: "refuse" | "touched";
  readonly json?: boolean;
}

/** @returns the command, for the main program to add */
export function guardCommand(): Command {
  return new Command("guard")
    .description("keep one VM alive through memory errors; SIGTERM or SIGINT lets go of it")
    .requiredOption("--pid <number>", "process id of QEMU")
    .option(
      "--qmp <socket>",
      "a QMP socket that nobody else uses: guest addresses, pausing and the return of large pages need it",
    )
    .option("--ledger <folder>", "where the ledger is kept", "/var/lib/hugemend")
    .addOption(
      new Option("--quiesce <when>", "pause the VM for a recovery")
        .choices(["auto", "always", "never"])
        .default("auto"),
    )
    .addOption(
      new Option("--poison-with <how>", "how lost pages are marked")
        .choices(["uffd", "hwpoison"])
        .default("uffd"),
    )
    .addOption(
      new Option(
        "--fill <how>",
        "when the replacement is filled: before it is put in place, or after; auto: after, for 1 GiB pages",
      )
        .choices(["eager", "lazy", "auto"])
        .default("auto"),
    )
    .option("--fill-rate <MiB/s>", "limit of lazy filling in the background; 0: only what the guest touches")
    .addOption(
      new Option(
        "--when-short <policy>",
        "what to do when there is no memory for a whole lazy replacement: fill what is touched, or refuse",
      )
        .choices(["refuse", "touched"])
        .default("refuse"),
    )
    .option("--give-back", "return a poisoned page to the kernel once its lazy replacement is full")
    .option("--json", "print events as JSON lines")
    .action(async (options: GuardOptions) => {
      process.exitCode = await run(options);
    });
}

const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

async function run(options: GuardOptions): Promise<number> {
  const json = options.json === true;
  const output = new LineOutput(1, (count) => droppedLine(json, count));
  const errors = new LineOutput(2, (count) => droppedLine(json, count));
  const print = eventPrinter(json, output.write);
  let guard: Guard | undefined;
  const stop = (name: string): void => void guard?.stop(name);
  // Before anybody can read `ready`: whoever has read it may send a signal at once. Handlers
  // run after this function has gone on, and stay: a second signal must not end the guard in the middle of letting go.
  const sink: EventSink = (event) => {
    if (event.event === "ready") for (const name of STOP_SIGNALS) process.on(name, stop);
    print(event);
  };
  try {
    guard = await openGuard({
      pid: parseProcessId(options.pid),
      qmp: options.qmp === undefined ? undefined : requirePath("--qmp", options.qmp),
      ledger: requirePath("--ledger", options.ledger),
      quiesce: options.quiesce,
      poisonWith: options.poisonWith,
      fill: options.fill,
      ...(options.fillRate === undefined ? {} : { fillRate: parseFillRate(options.fillRate) }),
      giveBack: options.giveBack === true,
      whenShort: options.whenShort,
      sink,
    });
  } catch (error) {
    return await leave(reportError(error, json, errors.write), [output, errors]);
  }
  // A fault of ours: say so and end at once. The kernel lets every thread of the VM go, and an access that hit poison repeats.
  process.once("uncaughtException", (error) => {
    reportError(error, json, errors.write);
    process.exit(exitCode.failed);
  });
  await guard.ended;
  return await leave(exitCode.done, [output, errors]);
}

/** Ends the process although lines may be left that nobody reads. Nothing of the VM is held any more. */
async function leave(code: number, outputs: readonly LineOutput[]): Promise<never> {
  await Promise.all(outputs.map((output) => output.flush()));
  process.exit(code);
}

function droppedLine(json: boolean, count: number): string {
  let text = "";
  const print = eventPrinter(json, (line) => {
    text = line;
  });
  print({
    event: "warning",
    code: "HM_OUTPUT_DROPPED",
    message: `${count} ${count === 1 ? "line was" : "lines were"} dropped because nobody read them in time; the ledger holds them`,
  });
  return text;
}
