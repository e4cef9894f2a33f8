import { messageOf } from "../errors.js";
import { LedgerError } from "./ledger-error.js";

const CODES: Readonly<Record<string, { code: `HM_LEDGER_${string}`; why: string; remedy: string }>> = {
  ENOENT: { code: "HM_LEDGER_MISSING", why: "it does not exist", remedy: "Check the path" },
  ENOTDIR: {
    code: "HM_LEDGER_PATH",
    why: "part of its path is not a folder",
    remedy: "Give --ledger a folder",
  },
  EISDIR: { code: "HM_LEDGER_PATH", why: "it is a folder", remedy: "Move that folder aside" },
  EEXIST: {
    code: "HM_LEDGER_PATH",
    why: "part of its path is not a folder",
    remedy: "Give --ledger a folder",
  },
  ELOOP: { code: "HM_LEDGER_UNSAFE", why: "it is a symbolic link", remedy: "Remove the link" },
  ENOSPC: {
    code: "HM_LEDGER_FULL",
    why: "its file system is full",
    remedy: "Free some space, or choose another folder with --ledger",
  },
  EDQUOT: {
    code: "HM_LEDGER_FULL",
    why: "its disk quota is used up",
    remedy: "Free some space, or choose another folder with --ledger",
  },
  EFBIG: {
    code: "HM_LEDGER_FULL",
    why: "the file may not grow further",
    remedy: "Raise the file size limit, or choose another folder with --ledger",
  },
  EROFS: {
    code: "HM_LEDGER_READ_ONLY",
    why: "its file system is read-only",
    remedy: "Remount it writable, or choose another folder with --ledger",
  },
  EACCES: {
    code: "HM_LEDGER_DENIED",
    why: "permission is denied",
    remedy: "Run as the folder's owner, or choose another folder with --ledger",
  },
  EPERM: {
    code: "HM_LEDGER_DENIED",
    why: "the operation is not permitted",
    remedy: "Check the file's attributes (lsattr), or choose another folder with --ledger",
  },
};

/**
 * The typed error for a failed file operation.
 * @param error what node:fs has thrown
 * @param path the file or folder
 * @param verb what could not be done: `read`, `opened`, …; fills "cannot be …"
 */
export function ledgerIoError(error: unknown, path: string, verb: string): LedgerError {
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = CODES[errno];
  const why = known?.why ?? messageOf(error);
  return new LedgerError(known?.code ?? "HM_LEDGER_IO", `The ledger ${path} cannot be ${verb}: ${why}`, {
    present: errno === "" ? "no error number" : errno,
    remedy: known?.remedy ?? "Check the disk and the kernel log, or choose another folder with --ledger",
    cause: error,
  });
}
