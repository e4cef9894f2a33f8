/**
 * A userfaultfd of the tracee that serves the kernel's faults as well as the user's: KVM's come from the kernel. Making one needs a
 * privilege (userfaultfd(2), vm.unprivileged_userfaultfd) that QEMU does not have, but we do.
 */

import { closeSync, constants, openSync } from "node:fs";
import { hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import {
  MESSAGE_BLOCK_SIZE,
  MSG_CMSG_CLOEXEC,
  messageBlock,
  RECEIVED_AT,
  sendDescriptor,
} from "../linux/pass-descriptor.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { tryReadProcess, writeProcess } from "../linux/process-memory.js";
import { UFFD_CLOEXEC, UFFD_NONBLOCK, USERFAULTFD_IOC_NEW } from "../linux/userfaultfd.js";
import { RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";
import { RecoveryError } from "./recovery-error.js";

const DEVICE = "/dev/userfaultfd";
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;

/**
 * @param remote a borrowed thread of the tracee
 * @param processDescriptor pidfd of the tracee
 * @returns the tracee's descriptor of it, close-on-exec and non-blocking
 * @throws RecoveryError HM_FULL_USERFAULTFD, TraceeError, LinuxError
 */
export function createFullUserfaultfd(remote: RemoteCalls, processDescriptor: number): number {
  try {
    // SAFETY: a descriptor nobody in the tracee knows of; left open by our death it watches nothing.
    return Number(remote.call("userfaultfd", UFFD_CLOEXEC | UFFD_NONBLOCK));
  } catch (error) {
    if (!(error instanceof RemoteCallError) || error.errno !== errno.EPERM) throw error;
  }
  const ours = openDevice();
  let theirs: number | undefined;
  try {
    theirs = handOver(remote, processDescriptor, ours);
    // SAFETY: as above; /dev/userfaultfd asks for a right when it is opened, not here (fs/userfaultfd.c userfaultfd_dev_ioctl).
    return Number(remote.call("ioctl", theirs, USERFAULTFD_IOC_NEW, UFFD_CLOEXEC | UFFD_NONBLOCK));
  } finally {
    closeSync(ours);
    // SAFETY: the descriptor is ours by right: nothing in the tracee knows of it.
    if (theirs !== undefined) remote.call("close", theirs);
  }
}

function openDevice(): number {
  try {
    return openSync(DEVICE, constants.O_RDWR);
  } catch (cause) {
    throw new RecoveryError(
      "HM_FULL_USERFAULTFD",
      `QEMU may not have a userfaultfd for the kernel's faults, and ${DEVICE} cannot be opened`,
      { expected: "Linux 6.1 or later with CONFIG_USERFAULTFD, and the right to open the device", cause },
    );
  }
}

/** Sends a descriptor through a socket pair made for this. @returns its number in the tracee */
function handOver(remote: RemoteCalls, processDescriptor: number, descriptor: number): number {
  const { pid, data } = remote;
  // SAFETY: two descriptors nobody in the tracee knows of, closed below; our death leaves them open and unused.
  remote.call("socketpair", AF_UNIX, SOCK_STREAM_CLOEXEC, 0, data);
  const pair = tryReadProcess(pid, data, 8);
  if (pair === undefined)
    throw new RecoveryError("HM_FULL_USERFAULTFD", "The socket pair's numbers cannot be read");
  const [near, far] = [pair.readInt32LE(0), pair.readInt32LE(4)];
  try {
    const socket = takeDescriptor(processDescriptor, near);
    try {
      sendDescriptor(socket, descriptor);
    } finally {
      closeDescriptor(socket);
    }
    writeProcess(pid, data, messageBlock(data, -1));
    // SAFETY: the message is there already, so this does not wait; it installs one descriptor.
    remote.call("recvmsg", far, data, MSG_CMSG_CLOEXEC);
    const block = tryReadProcess(pid, hva(data), MESSAGE_BLOCK_SIZE);
    const received = block?.readInt32LE(RECEIVED_AT) ?? -1;
    if (received >= 0) return received;
    throw new RecoveryError("HM_FULL_USERFAULTFD", "The descriptor did not arrive in the tracee");
  } finally {
    // SAFETY: both are ours by right, see above.
    remote.call("close", near);
    remote.call("close", far);
  }
}
