import { spawn } from "node:child_process";
import { atEnd } from "./cleanup.js";
import { LabError } from "./lab-error.js";

/** How to run a command. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Written to the command's standard input. */
  readonly input?: Uint8Array;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the user can do when it fails. */
  readonly remedy?: string;
  /** Milliseconds after which it is killed; ten minutes unless told. */
  readonly timeoutMs?: number;
}

/** The output of a command that ended with 0. */
export interface CommandOutput {
  readonly stdout: Buffer;
  readonly stderr: string;
}

/**
 * Runs a program without a shell and waits for it.
 *
 * @param argv program and arguments
 * @returns its output
 * @throws LabError `HM_LAB_COMMAND` when it cannot be started, ends with another code than 0, or takes too long
 */
export function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandOutput> {
  const [program = "", ...rest] = argv;
  return new Promise((done, failed) => {
    const child = spawn(program, rest, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, LC_ALL: "C", ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: options.timeoutMs ?? 600_000,
      killSignal: "SIGKILL",
    });
    const callOff = atEnd(() => child.kill("SIGTERM"));
    const out: Buffer[] = [];
    let stderr = "";
    const fail = (what: string, cause?: unknown): void => {
      const remedy = options.remedy === undefined ? {} : { remedy: options.remedy };
      failed(new LabError("HM_LAB_COMMAND", what, { ...remedy, cause }));
    };
    child.stdin.on("error", () => {
      // The program ended without reading its input; its exit code tells the story.
    });
    child.stdin.end(options.input);
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-100_000);
    });
    child.on("error", (error) => fail(`Cannot start ${program}: ${error.message}`, error));
    child.on("close", (code, signal) => {
      callOff();
      if (code === 0) return done({ stdout: Buffer.concat(out), stderr });
      const tail = stderr.trim().split("\n").slice(-3).join(" / ");
      fail(`${program} ended with ${signal ?? `code ${code}`}${tail === "" ? "" : `: ${tail}`}`);
    });
  });
}
