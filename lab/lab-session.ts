import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type GuardChoices, LabGuard, ledgerFolder } from "./lab-guard.js";
import { LabHost, type LabHostStart } from "./lab-host.js";
import { payloadFolder } from "./payload.js";
import { Victim } from "./victim.js";
import { type VictimConfig, victimPaths } from "./victim-config.js";

/** One lab host with its victim VM, and where its output goes: what a scenario works with. */
export class LabSession implements AsyncDisposable {
  readonly host: LabHost;
  /** Folder of this run's logs. */
  readonly logs: string;
  #victim: Victim;
  #guards = 0;
  #payloadMounted = false;

  private constructor(host: LabHost, victim: Victim, logs: string) {
    this.host = host;
    this.#victim = victim;
    this.logs = logs;
  }

  /** Starts from a victim snapshot. */
  static async open(start: LabHostStart, config: VictimConfig): Promise<LabSession> {
    const host = await LabHost.start(start);
    try {
      return new LabSession(host, await Victim.thaw(host.agent, config), start.logs);
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  get victim(): Victim {
    return this.#victim;
  }

  /** Ends the victim's QEMU and starts it again from a migration file. */
  async restoreVictim(file: string): Promise<void> {
    await this.#victim.quit();
    this.#victim = await Victim.restore(this.host.agent, this.#victim.config, file);
  }

  /** Starts a guard for the victim and waits until it is ready. @param extra more command line arguments */
  guard(extra: readonly string[] = []): Promise<LabGuard> {
    return this.#startGuard({ extra, blind: false });
  }

  /** The same, but it can read neither tracepoints nor the kernel log: every recovery begins with an access. */
  blindGuard(extra: readonly string[] = []): Promise<LabGuard> {
    return this.#startGuard({ extra, blind: true });
  }

  /** One without a QMP socket. @param extra more command line arguments */
  guardWithoutMonitor(extra: readonly string[] = []): Promise<LabGuard> {
    return this.#startGuard({ extra, blind: false, monitor: false });
  }

  /** One that takes the kernel for another release. */
  disguisedGuard(release: string): Promise<LabGuard> {
    return this.#startGuard({ extra: [], blind: false, release });
  }

  /** One that ends itself with SIGKILL at a step of its walk. */
  doomedGuard(killAt: string, extra: readonly string[] = []): Promise<LabGuard> {
    return this.#startGuard({ extra, blind: false, killAt });
  }

  /** One that orders QEMU to tell the guest of lost pages, as if it were an old QEMU. @param killAt as for doomedGuard */
  orderingGuard(killAt?: string): Promise<LabGuard> {
    return this.#startGuard({ extra: [], blind: false, lossRoute: "monitor", killAt });
  }

  /** One that says `waiting` at steps of its walk, and neither hears nor sees for some seconds then. */
  dawdlingGuard(waitAt: readonly string[]): Promise<LabGuard> {
    return this.#startGuard({ extra: [], blind: false, waitAt });
  }

  /** Runs `hugemend` in the lab host. @returns what it says */
  async command(
    words: readonly string[],
    timeoutMs = 60_000,
  ): Promise<{ readonly code: number; readonly stdout: string }> {
    await this.#mountPayload();
    return this.host.agent.run(`node ${payloadFolder}/dist/src/cli/main.js ${words.join(" ")}`, timeoutMs);
  }

  async #mountPayload(): Promise<void> {
    if (!this.#payloadMounted) await this.host.agent.must(`mount -t ext4 -o ro /dev/vdb ${payloadFolder}`);
    this.#payloadMounted = true;
  }

  async #startGuard(choices: GuardChoices): Promise<LabGuard> {
    await this.#mountPayload();
    const file = join(this.logs, `guard-${++this.#guards}`);
    return LabGuard.start(this.host.agent, this.victim.pid, choices, (stream, text) =>
      appendFileSync(`${file}.${stream}.log`, text),
    );
  }

  /** Copies the lab host's side of the story to the log folder; what cannot be read is left out. */
  async collect(): Promise<void> {
    const files: readonly (readonly [string, string])[] = [
      ["victim-console.log", `cat ${victimPaths.console}`],
      ["victim-qemu.log", `cat ${victimPaths.qemuLog}`],
      ["l1-kernel.log", "dmesg"],
      ["l1-processes.log", "ps; free -m; cat /proc/meminfo"],
      ["ledger.log", `for f in $(find ${ledgerFolder} -type f); do echo "== $f"; cat "$f"; done`],
    ];
    for (const [name, command] of files) {
      try {
        const { stdout } = await this.host.agent.run(command, 60_000);
        writeFileSync(join(this.logs, name), stdout);
      } catch {
        return; // The lab host hangs or is gone; its console is in l1-console.log anyway.
      }
    }
    writeFileSync(join(this.logs, "victim-qmp.log"), this.victim.qmp.log.lines.join("\n"));
  }

  /** Ends the lab host and all in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}
