import type { LossRoute } from "../src/qemu/qemu-release.js";
import type { AgentClient } from "./agent-client.js";
import type { Channel, ChannelEnd } from "./channel.js";
import { LabError } from "./lab-error.js";
import { payloadFolder } from "./payload.js";
import { steppingGuardCommand } from "./stepping-guard.js";
import { victimPaths } from "./victim-config.js";

/** Where the guard's ledger is inside the lab host. */
export const ledgerFolder = "/run/ledger";

/** How a guard is run. */
export interface GuardChoices {
  readonly extra: readonly string[];
  readonly blind: boolean;
  /** What it reads as the kernel's release, in place of the real one. */
  readonly release?: string;
  /** False: it has no QMP socket. */
  readonly monitor?: false;
  readonly killAt?: string | undefined;
  readonly waitAt?: readonly string[];
  /** How it tells QEMU of lost pages, whatever QEMU's release. */
  readonly lossRoute?: LossRoute;
}

/** In a mount namespace of the guard's own, so that only it sees nothing. */
const blindfold =
  "umount -l /sys/kernel/tracing; umount -l /sys/kernel/debug; mount -o bind /dev/null /dev/kmsg";

function disguise(release: string): string {
  return `echo ${release} > /run/osrelease; mount -o bind /run/osrelease /proc/sys/kernel/osrelease`;
}

/** An event as `hugemend guard --json` prints it. */
export type GuardEvent = Readonly<Record<string, unknown>> & { readonly event: string };

/** A `hugemend guard` running in the lab host. */
export class LabGuard {
  readonly #channel: Channel;

  private constructor(channel: Channel) {
    this.#channel = channel;
  }

  /**
   * Starts a guard for a process and waits until it holds it.
   *
   * @param extra more arguments
   * @param monitor false: without a QMP socket
   * @param killAt step at which it ends itself with SIGKILL
   * @param waitAt steps at which it says `waiting` and blocks for seconds
   * @param lossRoute how it tells QEMU of lost pages, whatever QEMU's release
   * @param blind whether neither tracepoints nor the kernel log can be read: it then learns of an error only from a thread that
   *   stops at it
   * @param onText told of what it prints
   * @throws LabError `HM_LAB_GUARD` when it ends or prints no `ready` event
   */
  static async start(
    agent: AgentClient,
    pid: number,
    { extra, blind, release, monitor, killAt, waitAt, lossRoute }: GuardChoices,
    onText: (stream: "out" | "err", text: string) => void,
  ): Promise<LabGuard> {
    const argv = [
      "guard",
      "--pid",
      pid,
      ...(monitor === false ? [] : ["--qmp", victimPaths.guardQmp]),
      "--ledger",
      ledgerFolder,
      "--json",
      ...extra,
    ];
    const run =
      killAt === undefined && waitAt === undefined && lossRoute === undefined
        ? `exec node ${payloadFolder}/dist/src/cli/main.js ${argv.join(" ")}`
        : steppingGuardCommand(`${payloadFolder}/dist/lab/stepping-guard.js`, {
            pid,
            qmp: victimPaths.guardQmp,
            ledger: ledgerFolder,
            quiesce: extra.includes("always") ? "always" : "auto",
            fill: extra.includes("lazy") ? "lazy" : "auto",
            fillRate: extra.includes("--fill-rate")
              ? Number(extra[extra.indexOf("--fill-rate") + 1])
              : undefined,
            killAt,
            waitAt,
            lossRoute,
          });
    const masks = [...(blind ? [blindfold] : []), ...(release === undefined ? [] : [disguise(release)])];
    const inner = masks.length > 0 ? `exec busybox unshare -m sh -c '${[...masks, run].join("; ")}'` : run;
    const channel = agent.spawn(`mkdir -p ${ledgerFolder}; ${inner}`, onText);
    const guard = new LabGuard(channel);
    try {
      await guard.waitFor("ready", 150_000);
    } catch (cause) {
      if (!(cause instanceof LabError)) throw cause;
      if (cause.code === "HM_LAB_HOST_LOST") throw cause;
      throw new LabError("HM_LAB_GUARD", "The guard did not become ready", {
        present: channel.err.lines.join(" / ").slice(-600),
        cause,
      });
    }
    return guard;
  }

  /** Every event so far. */
  get events(): GuardEvent[] {
    return this.#channel.out.lines.map(parse).filter((event) => event !== undefined);
  }

  /** Every event of a name so far. */
  all(name: string): GuardEvent[] {
    return this.events.filter((event) => event.event === name);
  }

  /**
   * The first event of a name that also satisfies `match`.
   *
   * @throws LabError `HM_LAB_TIMEOUT`, `HM_LAB_CHANNEL_ENDED` when the guard has ended
   */
  async waitFor(
    name: string,
    timeoutMs = 60_000,
    match: (event: GuardEvent) => boolean = () => true,
  ): Promise<GuardEvent> {
    const wanted = (line: string): boolean => {
      const event = parse(line);
      return event !== undefined && event.event === name && match(event);
    };
    const line = await this.#channel.out.wait(`the guard's event "${name}"`, wanted, timeoutMs);
    const event = parse(line);
    if (event === undefined) throw new TypeError("unreachable: the line was parsed before");
    return event;
  }

  /** Waits for so many events of a name. */
  async waitForCount(name: string, count: number, timeoutMs = 60_000): Promise<GuardEvent[]> {
    let seen = 0;
    await this.waitFor(name, timeoutMs, () => ++seen >= count);
    return this.all(name);
  }

  /** Sends a signal to the guard. @param signal its number */
  kill(signal: number): void {
    this.#channel.kill(signal);
  }

  /** Waits for its end. */
  ended(timeoutMs = 60_000): Promise<ChannelEnd> {
    return this.#channel.wait(timeoutMs);
  }
}

function parse(line: string): GuardEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("event" in value) || typeof value.event !== "string")
      return undefined;
    return { ...value, event: value.event };
  } catch {
    return undefined;
  }
}
