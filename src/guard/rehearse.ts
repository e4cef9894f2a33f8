/**
 * What a recovery runs through is run once before there is an error: the interpreter compiles a function when it is first called, and for
 * the first error, the one that counts, that took three quarters of the time.
 */

import { closeSync, openSync } from "node:fs";
import { encodeRecord } from "../ledger/record.js";
import { hex } from "../linux/address.js";
import type { HugetlbMapping } from "../linux/procfs/map-files.js";
import { classify } from "../recovery/classify.js";
import type { LargePage } from "../recovery/large-page.js";
import { planRecovery } from "../recovery/plan.js";
import { salvage } from "../recovery/salvage.js";
import type { GuardContext } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";
import { openBacking } from "./open-backing.js";
import { gatherFacts } from "./plan-facts.js";
import { handlerIsGone } from "./release.js";
import { lostRangesOf } from "./tell-recovered.js";

/** A little more than what one call compiles: what runs again is compiled better. */
const ROUNDS = 3;

/**
 * Changes nothing, and reads nothing of the guest. Between its parts the event loop gets its turn. Never throws: what fails here is told
 * when it matters.
 *
 * @param ram what the VM maps @param ended whether the guard has let go meanwhile
 */
export function rehearse(guard: GuardContext, ram: readonly HugetlbMapping[], ended: () => boolean): void {
  const shared = ram.find(({ mapping }) => mapping.shared);
  if (shared === undefined) return;
  const parts = partsOf(guard, shared);
  let next = 0;
  const turn = (): void => {
    if (ended() || next === parts.length * ROUNDS) return;
    // Whoever stands at an error takes the real thing.
    if (!guard.waiting.any()) {
      try {
        parts[next % parts.length]?.();
      } catch {
        // As said above.
      }
    }
    next += 1;
    setImmediate(turn);
  };
  setImmediate(turn);
}

function partsOf(guard: GuardContext, { mapping, pageSize }: HugetlbMapping): (() => void)[] {
  const { start: base, offset, device, inode } = mapping;
  const page: LargePage = { base, size: pageSize, offset, device, inode, mapping };
  return [
    () => void classify(guard.view, base),
    () => void guard.view.pagemap.at(base),
    () => void planRecovery(gatherFacts(guard, page)),
    () => closeSync(openBacking(guard, page).file),
    () => void handlerIsGone(guard, guard.pid),
    () => salvageZeros(),
    () => encodeEvents(guard, page),
  ];
}

/** The loops of a salvage, without a byte of the guest. */
function salvageZeros(): void {
  const file = openSync("/dev/zero", "r");
  try {
    salvage({ file, offset: 0n, size: 2 ** 20, pretendBad: [4096] }, () => {});
  } finally {
    closeSync(file);
  }
}

/** The records of a recovery, which nobody gets. */
function encodeEvents(guard: GuardContext, page: LargePage): void {
  const where = { hva: hex(page.base), gpa: guestAddress(guard, page.base), offset: Number(page.offset) };
  const lost = lostRangesOf(guard, page.base, [4096]);
  const ms = { stall: 0.5, downtime: 0, total: 0.5 };
  encodeRecord(1, new Date(), {
    event: "recovered",
    ...where,
    pageSize: page.size,
    lost,
    salvagedBytes: page.size - 4096,
    trigger: "AR",
    quiesced: false,
    fill: "eager",
    ms,
  });
}
