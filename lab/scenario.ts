import type { LabSession } from "./lab-session.js";
import type { VictimConfig } from "./victim-config.js";

/** One real event on a real VM, and what must come of it. */
export interface Scenario {
  /** Its name on the command line. */
  readonly name: string;
  /** One line: what happens, what must come of it. */
  readonly summary: string;
  readonly victim: VictimConfig;
  /** Takes minutes, or shows for one more kind of machine what others show already: played by `all`, not by `npm test`. */
  readonly onlyInAll?: true;
  /**
   * Plays it and checks it.
   *
   * @returns what was seen, for the report
   * @throws when something else came of it than it must
   */
  run(lab: LabSession): Promise<string>;
}
