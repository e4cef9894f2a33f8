import type { Scenario } from "../scenario.js";
import { onePageScenarios } from "./one-page.js";
import { threePages, twoLargePages, twoVcpus } from "./several.js";
import { stock } from "./stock.js";

/** Every scenario, in the order in which they are listed and run. */
export const allScenarios: readonly Scenario[] = [
  stock,
  ...onePageScenarios,
  threePages,
  twoLargePages,
  twoVcpus,
];
