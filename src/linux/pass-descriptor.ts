/** Handing a descriptor to another process through a socket: SCM_RIGHTS (unix(7), cmsg(3)). */

import { allocateNative } from "./native-memory.js";
import { systemCall } from "./system-call.js";

/** Bytes of the block that {@link messageBlock} makes. */
export const MESSAGE_BLOCK_SIZE = 128;
/** Where in it the received descriptor is. */
export const RECEIVED_AT: number = 96 + 16;
/** Flag of recvmsg(2): the descriptor is closed by exec. */
export const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

/**
 * A struct msghdr with one byte of data and room for one descriptor.
 *
 * @param address where the block will lie, in the process that uses it
 * @param descriptor to send; whatever to receive
 */
export function messageBlock(address: bigint, descriptor: number): Buffer {
  const block = Buffer.alloc(MESSAGE_BLOCK_SIZE);
  block.writeBigUInt64LE(address + 64n, 16); // msg_iov
  block.writeBigUInt64LE(1n, 24); // msg_iovlen
  block.writeBigUInt64LE(address + 96n, 32); // msg_control
  block.writeBigUInt64LE(24n, 40); // msg_controllen: CMSG_SPACE(4)
  block.writeBigUInt64LE(address + 80n, 64); // iov_base
  block.writeBigUInt64LE(1n, 72); // iov_len
  block.writeBigUInt64LE(20n, 96); // cmsg_len: CMSG_LEN(4)
  block.writeInt32LE(SOL_SOCKET, 104);
  block.writeInt32LE(SCM_RIGHTS, 108);
  block.writeInt32LE(descriptor, RECEIVED_AT);
  return block;
}

const scratch = allocateNative(4096);

/** @param socket a connected Unix socket of ours @throws SystemCallError */
export function sendDescriptor(socket: number, descriptor: number): void {
  messageBlock(scratch.address, descriptor).copy(scratch.bytes);
  systemCall("sendmsg", socket, scratch.address, 0);
}
