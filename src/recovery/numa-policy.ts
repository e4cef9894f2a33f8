/** The NUMA policy of QEMU's RAM, carried over to what stands in for it. */

import type { Hva } from "../linux/address.js";
import { writeProcess } from "../linux/process-memory.js";
import { type NumaPolicy, numaMode } from "../linux/procfs/numa-maps.js";
import { RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";

/** Bits of the node mask; the kernel wants those above its own limit to be zero (mm/mempolicy.c get_nodes). */
const NODE_BITS = 1024;
const MODE_FLAGS = 0b111 << 13;

/** Where a policy goes: a mapping of our own that nobody uses yet. */
export interface PolicyTarget {
  readonly region: Hva;
  readonly size: number;
}

/**
 * Sets the policy under which the replacement is filled. The pages of a memfd are placed by the policy of the file, wherever
 * the write comes from. A strict binding is only preferred here: a full node must not bring the kernel's memory killer upon
 * QEMU, and small pages on another node are better than a lost large page.
 */
export function setFillPolicy(
  remote: RemoteCalls,
  target: PolicyTarget,
  policy: NumaPolicy | undefined,
): void {
  if (policy === undefined) return;
  const strict = (policy.mode & ~MODE_FLAGS) === numaMode.bind;
  const mode = strict ? numaMode["prefer (many)"] | (policy.mode & MODE_FLAGS & ~(1 << 13)) : policy.mode;
  trySetPolicy(remote, target, { mode, nodes: policy.nodes });
}

/**
 * Sets the policy that the RAM has. Of what is filled already nothing moves.
 *
 * @returns false if the kernel refuses (a filter, a node that is gone): then pages come from anywhere, which is slower at worst
 * @throws TraceeError if the thread is gone
 */
export function trySetPolicy(
  remote: RemoteCalls,
  { region, size }: PolicyTarget,
  policy: NumaPolicy | undefined,
): boolean {
  if (policy === undefined) return true;
  writeProcess(remote.pid, remote.data, nodeMask(policy.nodes));
  try {
    // SAFETY: policy of our own new mapping. maxnode counts one bit more than the mask has (mbind(2), NOTES).
    remote.call("mbind", region, size, policy.mode, remote.data, NODE_BITS + 1, 0);
    return true;
  } catch (error) {
    if (error instanceof RemoteCallError) return false;
    throw error;
  }
}

/** @param nodes numbers below NODE_BITS */
export function nodeMask(nodes: readonly number[]): Buffer {
  const mask = Buffer.alloc(NODE_BITS / 8);
  for (const node of nodes) mask.writeUInt8(mask.readUInt8(node >> 3) | (1 << (node & 7)), node >> 3);
  return mask;
}
