/** One entry of an initramfs archive. */
export interface CpioEntry {
  /** Path without a leading slash. */
  readonly path: string;
  /** File type and permissions as in stat(2)'s st_mode. */
  readonly mode: number;
  /** Content of a file, target of a symbolic link. */
  readonly data?: Uint8Array | undefined;
  /** Major and minor number of a device node. */
  readonly device?: readonly [number, number];
}

/** st_mode type bits (stat(2), inode(7)). */
export const cpioType = { directory: 0o040000, file: 0o100000, link: 0o120000, character: 0o020000 } as const;

/**
 * Packs an archive in the "newc" format that the kernel unpacks as an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @param entries parents before their children
 * @returns the archive
 */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const all = [...entries, { path: "TRAILER!!!", mode: 0 } satisfies CpioEntry];
  all.forEach((entry, index) => {
    const name = Buffer.from(`${entry.path}\0`);
    const data = Buffer.from(entry.data ?? []);
    const [major, minor] = "device" in entry && entry.device !== undefined ? entry.device : [0, 0];
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length, 0];
    const header = Buffer.from(
      `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`,
    );
    parts.push(padded(Buffer.concat([header, name])), padded(data));
  });
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
