/** All benchmarks, in the order in which they run: the long ones last. */

import type { Bench } from "./bench.js";
import { detach } from "./detach.js";
import { downtime1G, downtime2M } from "./downtime.js";
import { downtimeOfQemu1G, downtimeOfQemu2M } from "./downtime-qemu.js";
import { fault1G } from "./fault.js";
import { fill1G } from "./fill.js";
import { kit1G, kit2M } from "./kit.js";
import { rest } from "./rest.js";
import { scaleGuards } from "./scale-guards.js";
import { scalePages } from "./scale-pages.js";
import { scaleRam } from "./scale-ram.js";
import { stall1G, stall2M } from "./stall.js";
import { steady } from "./steady.js";
import { steadyLab } from "./steady-lab.js";
import { steadyVm } from "./steady-vm.js";

/** See the head of the file. */
export const allBenches: readonly Bench[] = [
  stall2M,
  downtime2M,
  downtimeOfQemu2M,
  // While memory is least fragmented: pages of 1 GiB.
  stall1G,
  downtime1G,
  downtimeOfQemu1G,
  fault1G,
  fill1G,
  steady,
  steadyVm,
  detach,
  rest,
  kit2M,
  kit1G,
  scaleRam,
  scalePages,
  scaleGuards,
  steadyLab,
];
