/** What lies ready in the VM before there is an error, and what that costs it. */

import type { KitPart } from "../ledger/events.js";
import { TAG_SIZE } from "../recovery/spare-tag.js";
import type { GuardContext } from "./guard-context.js";

/** @returns one part for each spare */
export function kitOf({ spares, populated }: Pick<GuardContext, "spares" | "populated">): KitPart[] {
  const part = (size: number, memory: number, descriptors: number): KitPart => ({
    pageSize: size,
    bytes: TAG_SIZE + memory,
    addressSpace: TAG_SIZE + size,
    descriptors,
  });
  return [
    ...populated.all.map(({ region }) => part(region.size, region.size, 0)),
    // The userfaultfd has to live in the VM, so that whoever needs what is missing waits even when the guard is dead.
    ...spares.all.map(({ region }) => part(region.size, 0, 1)),
  ];
}
