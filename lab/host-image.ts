import { createHash } from "node:crypto";
import { debian12Disk, debian12Kernel } from "./debian-12.js";
import type { LabImage } from "./image.js";
import type { HostKind } from "./lab-host.js";
import type { Progress } from "./progress.js";

/**
 * What a kind of lab host boots from: the usual image, with parts of Debian 12 where the kind asks for them. They are fetched here, so
 * only who plays with such a host pays for it.
 */
export async function imageFor(progress: Progress, usual: LabImage, kind: HostKind): Promise<LabImage> {
  let image = usual;
  if (kind.kernel === "debian-12") {
    const { key, kernel, initrd } = await debian12Kernel(progress, usual.busybox);
    image = { ...image, key: joined(image.key, key), kernel, initrd };
  }
  if (kind.programs === "debian-12") {
    const { key, disk } = await debian12Disk(progress);
    image = { ...image, key: joined(image.key, key), programs: disk };
  }
  return image;
}

function joined(...keys: readonly string[]): string {
  return createHash("sha256").update(keys.join()).digest("hex").slice(0, 16);
}
