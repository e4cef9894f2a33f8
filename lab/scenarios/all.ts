import type { Scenario } from "../scenario.js";
import { arVcpu } from "./first-access.js";
import { onePageScenarios } from "./one-page.js";
import { guardKilled, guardLate, operatorPaused, reportedFirst } from "./order-of-events.js";
import { confined, memfd, notShared } from "./other-machines.js";
import { quiesceAlways, reset10 } from "./pause-and-reset.js";
import { threePages, twoLargePages, twoVcpus } from "./several.js";
import { stock } from "./stock.js";
import { aoProactive } from "./untouched.js";

/** Every scenario, in the order in which they are listed and run. */
export const allScenarios: readonly Scenario[] = [
  // The longest first: two run at a time.
  reset10,
  stock,
  arVcpu,
  ...onePageScenarios,
  threePages,
  twoLargePages,
  twoVcpus,
  reportedFirst,
  aoProactive,
  operatorPaused,
  guardLate,
  guardKilled,
  memfd,
  confined,
  notShared,
  quiesceAlways,
];
