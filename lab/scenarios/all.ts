import type { Scenario } from "../scenario.js";
import { crashAnywhere } from "./crash-anywhere.js";
import { crashAtReset } from "./crash-at-reset.js";
import { crashLazily } from "./crash-lazily.js";
import { dmaPinned, sharers, vhostNet } from "./devices.js";
import { quiesceAuto } from "./direct-io.js";
import { exactAddress } from "./exact-address.js";
import { arVcpu } from "./first-access.js";
import { gig } from "./gig.js";
import { giveBack } from "./give-back.js";
import { handlerRestored } from "./handler-restored.js";
import { lateSharer } from "./late-sharer.js";
import { gigLazy, lazy, lazyConfined, lazyKilled } from "./lazy.js";
import { migration } from "./migration.js";
import { modelReplay } from "./model-replay.js";
import { off } from "./off.js";
import { oldKernel, oldKernelDisguised } from "./old-kernel.js";
import { oldQemu } from "./old-qemu.js";
import { onePageScenarios } from "./one-page.js";
import { operatorPause } from "./operator-pause.js";
import { guardKilled, guardLate, operatorPaused, reportedFirst } from "./order-of-events.js";
import { confined, memfd } from "./other-machines.js";
import { quiesceAlways, reset10 } from "./pause-and-reset.js";
import { poisonHwpoison, poisonUffd } from "./poison-ways.js";
import { memPath, shareOff } from "./private-ram.js";
import { qemuOptions, qemuOptionsDimm, qemuOptionsIntel, qemuOptionsPc } from "./qemu-options.js";
import { lossByMonitor, lossByMonitorCrash, reset72, reset72Stock } from "./reset-old-qemu.js";
import { resetPinned, resetShared, resetWhileDead, resetWithoutMonitor } from "./reset-without-return.js";
import { errorDuringRecovery, errorStorm, secondError } from "./second-error.js";
import { selfTest, selfTestOldKernel } from "./self-test.js";
import { threePages, twoLargePages, twoVcpus } from "./several.js";
import { stock } from "./stock.js";
import { aoKernelLog, aoPaused, aoProactive, aoReplay } from "./untouched.js";
import { vmaAttributes } from "./vma-attributes.js";

/** Every scenario, in the order in which they are listed and run. */
export const allScenarios: readonly Scenario[] = [
  // The longest first: two run at a time.
  reset10,
  gig,
  gigLazy,
  stock,
  arVcpu,
  exactAddress,
  ...onePageScenarios,
  threePages,
  twoLargePages,
  twoVcpus,
  reportedFirst,
  aoProactive,
  aoKernelLog,
  aoPaused,
  aoReplay,
  secondError,
  errorDuringRecovery,
  errorStorm,
  operatorPaused,
  guardLate,
  guardKilled,
  memfd,
  confined,
  lazy,
  lazyKilled,
  lazyConfined,
  giveBack,
  shareOff,
  memPath,
  vmaAttributes,
  crashAnywhere,
  crashAtReset,
  crashLazily,
  modelReplay,
  migration,
  oldKernel,
  oldKernelDisguised,
  oldQemu,
  selfTest,
  selfTestOldKernel,
  off,
  qemuOptions,
  qemuOptionsPc,
  qemuOptionsIntel,
  qemuOptionsDimm,
  ...resetWithoutMonitor,
  resetShared,
  resetWhileDead,
  resetPinned,
  reset72,
  reset72Stock,
  lossByMonitor,
  lossByMonitorCrash,
  quiesceAlways,
  quiesceAuto,
  operatorPause,
  handlerRestored,
  poisonUffd,
  poisonHwpoison,
  vhostNet,
  sharers,
  lateSharer,
  dmaPinned,
];
