import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { atEnd } from "./cleanup.js";
import { LabError } from "./lab-error.js";
import { payloadBytes } from "./lab-host.js";
import { makeDisk } from "./make-disk.js";
import { projectFolder } from "./places.js";

const manifest = z.object({
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});

/** Where the payload disk is mounted in the lab host. */
export const payloadFolder = "/opt/hugemend";

/**
 * Packs this build of Hugemend (dist/src, package.json and the packages it needs at run time) into a disk of fixed size, which a lab
 * host that comes from a snapshot has never read.
 *
 * @returns the disk's path; it is removed when the program ends
 * @throws LabError `HM_LAB_NOT_BUILT`
 */
export async function buildPayload(): Promise<string> {
  if (!existsSync(join(projectFolder, "dist/src"))) {
    throw new LabError("HM_LAB_NOT_BUILT", "Hugemend is not compiled", { remedy: "Run npm run build first" });
  }
  const folder = mkdtempSync(join(tmpdir(), "hugemend-payload-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const stage = join(folder, "stage");
  mkdirSync(join(stage, "node_modules"), { recursive: true });
  cpSync(join(projectFolder, "dist/src"), join(stage, "dist/src"), { recursive: true });
  for (const name of ["stepping-guard.js", "erring-guard.js", "ram-sharer.js"]) {
    cpSync(join(projectFolder, "dist/lab", name), join(stage, "dist/lab", name));
  }
  cpSync(join(projectFolder, "package.json"), join(stage, "package.json"));
  for (const name of runtimePackages(projectFolder)) {
    cpSync(join(projectFolder, "node_modules", name), join(stage, "node_modules", name), { recursive: true });
  }
  const disk = join(folder, "payload.ext4");
  await makeDisk(stage, disk, `${payloadBytes / 1024}`);
  rmSync(stage, { recursive: true });
  return disk;
}

/** Every installed package that the project needs at run time, dependencies of dependencies included. */
function runtimePackages(folder: string): Set<string> {
  const found = new Set<string>();
  const visit = (place: string): void => {
    const file = join(place, "package.json");
    const { dependencies, optionalDependencies } = manifest.parse(JSON.parse(readFileSync(file, "utf8")));
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const next = join(folder, "node_modules", name);
      if (found.has(name) || !existsSync(next)) continue;
      found.add(name);
      visit(next);
    }
  };
  visit(folder);
  return found;
}
