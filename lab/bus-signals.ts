import type { AgentClient } from "./agent-client.js";
import type { LabSession } from "./lab-session.js";

const folder = "/sys/kernel/tracing/instances/lab";

/** What the lab host's kernel itself says about SIGBUS: every one that it has sent to anybody since this began. */
export class BusSignals {
  readonly #agent: AgentClient;

  private constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  /** Begins to count, with the tracepoint signal:signal_generate. */
  static async watch(lab: LabSession): Promise<BusSignals> {
    const event = `${folder}/events/signal/signal_generate`;
    await lab.host.agent.must(`mkdir ${folder} && echo sig==7 > ${event}/filter && echo 1 > ${event}/enable`);
    return new BusSignals(lab.host.agent);
  }

  /** One line for each so far, such as `… sig=7 errno=0 code=4 comm=CPU 0/KVM pid=175 grp=0 res=0`. */
  async lines(): Promise<string[]> {
    const text = await this.#agent.must(`cat ${folder}/trace`);
    return text.split("\n").filter((line) => line.includes("signal_generate:"));
  }
}
