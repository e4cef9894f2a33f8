import { messageOf } from "../errors.js";
import { QemuError } from "./qemu-error.js";

const OPEN_ONE = "Start QEMU with -qmp unix:PATH,server=on,wait=off and give that PATH to --qmp";
const OWN_SOCKET =
  "QEMU serves one client for each monitor socket: give Hugemend one of its own (a second -qmp unix:PATH,server=on,wait=off)";

const CAUSES: Readonly<Record<string, { code: `HM_QMP_${string}`; what: string; remedy: string }>> = {
  ENOENT: { code: "HM_QMP_SOCKET_MISSING", what: "does not exist", remedy: OPEN_ONE },
  ENOTDIR: { code: "HM_QMP_SOCKET_MISSING", what: "does not exist", remedy: OPEN_ONE },
  ENOTSOCK: { code: "HM_QMP_NOT_A_SOCKET", what: "is not a Unix socket", remedy: OPEN_ONE },
  ECONNREFUSED: {
    code: "HM_QMP_SOCKET_DEAD",
    what: "is a socket that nobody listens on: its QEMU has ended, or has lent it to one client only",
    remedy: OPEN_ONE,
  },
  EACCES: { code: "HM_QMP_DENIED", what: "may not be opened", remedy: "Run as root, or as QEMU's user" },
  EPERM: { code: "HM_QMP_DENIED", what: "may not be opened", remedy: "Run as root, or as QEMU's user" },
  // A full queue of waiting clients gives EAGAIN at once (unix(7)).
  EAGAIN: { code: "HM_QMP_STALLED", what: "is busy: other clients wait for it already", remedy: OWN_SOCKET },
  ETIMEDOUT: { code: "HM_QMP_STALLED", what: "did not accept the connection in time", remedy: OWN_SOCKET },
  EINVAL: {
    code: "HM_QMP_SOCKET",
    what: "is no usable socket path",
    remedy: "Unix socket paths have at most 107 bytes",
  },
};

/** The typed error for a socket that could not be connected to. */
export function connectError(path: string, error: unknown): QemuError {
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = CAUSES[errno];
  return new QemuError(
    known?.code ?? "HM_QMP_SOCKET",
    `The QMP socket ${path} ${known?.what ?? `cannot be connected to: ${messageOf(error)}`}`,
    { ...(errno === "" ? {} : { present: errno }), remedy: known?.remedy ?? OPEN_ONE, cause: error },
  );
}

/** Connected, but the greeting does not come. */
export function stalledError(path: string, waitedMs: number): QemuError {
  return new QemuError(
    "HM_QMP_STALLED",
    `QEMU does not answer at ${path}: another client is connected to it, or QEMU hangs`,
    {
      present: `no greeting for ${waitedMs} ms`,
      expected: "a QMP greeting",
      remedy: OWN_SOCKET,
    },
  );
}
