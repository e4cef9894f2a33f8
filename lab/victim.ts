import type { AgentClient } from "./agent-client.js";
import type { Channel } from "./channel.js";
import { Checker, type OwnLargePage } from "./checker.js";
import { LabError, LabHostLost } from "./lab-error.js";
import { QmpLines } from "./qmp-lines.js";
import { filledMib, filledPages, type VictimConfig, victimCommand, victimPaths } from "./victim-config.js";

/** The victim VM (L2) inside a lab host. */
export class Victim {
  readonly pid: number;
  readonly checker: Checker;
  /** The harness's own QMP connection. */
  readonly qmp: QmpLines;
  readonly config: VictimConfig;
  readonly #agent: AgentClient;
  readonly #channels: readonly Channel[];

  private constructor(
    agent: AgentClient,
    config: VictimConfig,
    pid: number,
    checker: Channel,
    qmp: QmpLines,
    monitor: Channel,
  ) {
    this.#agent = agent;
    this.config = config;
    this.pid = pid;
    this.checker = new Checker(checker);
    this.qmp = qmp;
    this.#channels = [checker, monitor];
  }

  /** Boots a VM and fills its memory (15 s). */
  static async boot(agent: AgentClient, config: VictimConfig): Promise<Victim> {
    await Victim.launch(agent, victimCommand(config));
    try {
      const victim = await Victim.attach(agent, config);
      await victim.checker.ready(120_000);
      const pages = await victim.checker.fill(filledMib);
      if (pages === filledPages) return victim;
      throw new LabError("HM_LAB_FILL", "The guest program did not fill its memory", {
        present: `${pages} pages`,
      });
    } catch (cause) {
      if (cause instanceof LabHostLost) throw cause;
      const said = await agent.must(`tail -n 5 ${victimPaths.qemuLog} ${victimPaths.console}`);
      throw new LabError("HM_LAB_VICTIM", `The victim VM (${config.id}) did not come up`, {
        present: said,
        cause,
      });
    }
  }

  /** Starts QEMU anew from a migration file, and lets the VM run. */
  static async restore(agent: AgentClient, config: VictimConfig, file: string): Promise<Victim> {
    await Victim.launch(agent, victimCommand(config, file));
    const victim = await Victim.attach(agent, config);
    const until = Date.now() + 60_000;
    while ((await victim.qmp.status()) === "inmigrate") {
      if (Date.now() > until)
        throw new LabError("HM_LAB_VICTIM", "The victim VM was not loaded from its file");
      await new Promise((done) => setTimeout(done, 200));
    }
    await victim.qmp.execute("cont");
    return victim;
  }

  private static async launch(agent: AgentClient, command: string): Promise<void> {
    agent.spawn(command);
    const sockets = [victimPaths.pid, victimPaths.checker, victimPaths.harnessQmp];
    const wait = `for i in $(seq 600); do [ -s ${sockets[0]} ] && [ -S ${sockets[1]} ] && [ -S ${sockets[2]} ] && exit 0; sleep 0.1; done; cat ${victimPaths.qemuLog} >&2; exit 1`;
    await agent.must(wait, 120_000);
  }

  /** Ends QEMU. */
  async quit(): Promise<void> {
    await this.qmp.execute("quit");
    const files = [victimPaths.pid, victimPaths.checker, victimPaths.harnessQmp, victimPaths.guardQmp];
    const wait = `for i in $(seq 600); do kill -0 ${this.pid} || break; sleep 0.1; done; rm -f ${files.join(" ")}`;
    await this.#agent.must(wait, 120_000);
  }

  /** Connects to the VM of a snapshot and lets it run. */
  static async thaw(agent: AgentClient, config: VictimConfig): Promise<Victim> {
    const victim = await Victim.attach(agent, config);
    await victim.qmp.execute("cont");
    return victim;
  }

  /** Connects to a VM that is there already. */
  private static async attach(agent: AgentClient, config: VictimConfig): Promise<Victim> {
    const pid = Number((await agent.must(`cat ${victimPaths.pid}`)).trim());
    const monitor = agent.connect(victimPaths.harnessQmp, (_, text) => qmp.log.push(text));
    const qmp = new QmpLines((text) => monitor.write(text));
    monitor.ended.then(
      () => qmp.log.end(new LabError("HM_LAB_VICTIM_ENDED", "The victim's QEMU has ended")),
      (error: unknown) => qmp.log.end(error),
    );
    await qmp.greet(60_000);
    return new Victim(agent, config, pid, agent.connect(victimPaths.checker), qmp, monitor);
  }

  /**
   * Pauses the VM and lets go of its sockets, before a snapshot of the lab host. A snapshot taken while the lab host's emulated CPU is
   * inside the nested guest cannot be loaded: "vCPU set in guest-mode inconsistent with migrated kernel nested state" (QEMU:
   * target/i386/machine.c, cpu_post_load).
   */
  async freeze(): Promise<void> {
    await this.qmp.execute("stop");
    for (const channel of this.#channels) channel.close();
    for (const channel of this.#channels) await channel.wait(60_000);
  }

  /**
   * Poisons 4 KiB pages through the kernel's own memory_failure(), all frame numbers looked up before the first.
   *
   * @param gpas guest-physical addresses
   */
  async poison(gpas: readonly number[]): Promise<void> {
    const places = this.config.memory === undefined ? gpas.map(hex) : await this.#addresses(gpas);
    await this.#agent.must(`/lab/poison ${this.pid} ${places.join(" ")}`);
  }

  /** QEMU's own word for where guest addresses lie: with several RAM files an offset does not say which. */
  async #addresses(gpas: readonly number[]): Promise<string[]> {
    const found: string[] = [];
    for (const gpa of gpas) {
      const answer = await this.monitor(`gpa2hva ${hex(gpa)}`);
      found.push(`@${/ is (0x[0-9a-f]+)/.exec(answer)?.[1] ?? answer}`);
    }
    return found;
  }

  /** One command of QEMU's human monitor. @returns what it prints */
  async monitor(command: string): Promise<string> {
    return String(await this.qmp.execute("human-monitor-command", { "command-line": command }));
  }

  /** Large pages that are the checker's own, away from the edges of its block. @throws LabError `HM_LAB_NO_LARGE_PAGE` */
  async ownLargePages(count: number): Promise<OwnLargePage[]> {
    const all = await this.checker.largePages();
    const first = Math.floor((all.length - count) / 2);
    if (first < 0)
      throw new LabError("HM_LAB_NO_LARGE_PAGE", "The guest program owns too few large pages", {
        present: `${all.length}`,
      });
    return all.slice(first, first + count);
  }

  /** Whether the VM lives: its process runs, its kernel did not panic, its program answers. */
  async survives(): Promise<boolean> {
    if (this.qmp.seen("GUEST_PANICKED")) return false;
    const { code } = await this.#agent.run(`kill -0 ${this.pid}`);
    return code === 0 && (await this.checker.alive());
  }

  /** How often QEMU passed a memory error on to the guest, by kind, from its own log. */
  async injected(): Promise<{ ar: number; ao: number }> {
    const text = await this.#agent.must(`cat ${victimPaths.qemuLog}`);
    const count = (kind: string): number => text.split(`of type BUS_MCEERR_${kind} injected`).length - 1;
    return { ar: count("AR"), ao: count("AO") };
  }
}

/** An address as the ledger and QEMU write it. */
export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
