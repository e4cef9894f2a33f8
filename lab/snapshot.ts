import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cachedFolder } from "./cached-folder.js";
import { runCommand } from "./command.js";
import { debian12Qemu, mountDebian12 } from "./debian-12.js";
import type { LabImage } from "./image.js";
import { LabHostLost } from "./lab-error.js";
import { type HostKind, hostMachine, LabHost, payloadBytes } from "./lab-host.js";
import type { Progress } from "./progress.js";
import { Victim } from "./victim.js";
import { type VictimConfig, victimCommand } from "./victim-config.js";

/** Raise this when a snapshot is made in another way. */
const recipe = 2;

/** A frozen lab host: many can be started from it at once, each on a private copy of its memory. */
export interface Snapshot {
  readonly ramFile: string;
  readonly stateFile: string;
}

/** A lab host that has just booted. @param image for this kind of host */
export async function hostSnapshot(progress: Progress, image: LabImage, host: HostKind): Promise<Snapshot> {
  const text = `booting the lab host (${host.ram})`;
  return snapshot(progress, image, host.id, hostMachine(host), text, async (folder, logs) => {
    const { ramFile, stateFile } = filesOf(folder);
    await using lab = await LabHost.start({
      kind: host,
      image,
      shared: true,
      logs,
      ramFile,
      payload: emptyDisk(folder),
    });
    if (host.programs === "debian-12") await lab.agent.must(`${mountDebian12} && ${debian12Qemu} --version`);
    // Read once what every scenario needs, so that it is in the snapshot's page cache.
    await lab.agent.must(
      "node -e 0 && qemu-system-x86_64 --version && cat /lab/vmlinuz /lab/victim.cpio > /dev/null",
      60_000,
    );
    await lab.freeze(stateFile);
  });
}

/** A lab host with the victim VM up, its memory filled, waiting. @param image for this kind of host */
export async function victimSnapshot(
  progress: Progress,
  image: LabImage,
  config: VictimConfig,
): Promise<Snapshot> {
  const base = await hostSnapshot(progress, image, config.host);
  const depends = [...hostMachine(config.host), victimCommand(config)];
  const text = `booting the victim VM (${config.id})`;
  return snapshot(progress, image, `victim-${config.id}`, depends, text, async (folder, logs) => {
    const files = filesOf(folder);
    await runCommand(["cp", "--sparse=always", "--reflink=auto", base.ramFile, files.ramFile]);
    const payload = emptyDisk(folder);
    const { ramFile } = files;
    await using host = await LabHost.start({
      kind: config.host,
      image,
      shared: true,
      logs,
      ramFile,
      stateFile: base.stateFile,
      payload,
    });
    const victim = await Victim.boot(host.agent, config);
    await victim.freeze();
    await host.freeze(files.stateFile);
  });
}

async function snapshot(
  progress: Progress,
  image: LabImage,
  kind: string,
  depends: readonly string[],
  text: string,
  make: (folder: string, logs: string) => Promise<void>,
): Promise<Snapshot> {
  const key = createHash("sha256")
    .update(JSON.stringify([recipe, image.key, payloadBytes, depends]))
    .digest("hex")
    .slice(0, 16);
  const build = async (folder: string): Promise<void> => {
    const logs = mkdtempSync(join(tmpdir(), `hugemend-lab-snapshot-${kind}-`));
    try {
      await makeTwice(progress, text, folder, () => make(folder, logs));
    } catch (error) {
      progress.note(`${text} failed; logs: ${logs}`);
      throw error;
    }
    rmSync(logs, { recursive: true });
  };
  return filesOf(await cachedFolder(progress, kind, key, 0, build));
}

/** A lab host that is lost while a snapshot is made says nothing about the snapshot: once more. */
async function makeTwice(
  progress: Progress,
  text: string,
  folder: string,
  make: () => Promise<void>,
): Promise<void> {
  try {
    await progress.step(text, make);
  } catch (error) {
    if (!(error instanceof LabHostLost)) throw error;
    progress.note(`${text}: ${error.message}; trying once more`);
    for (const file of Object.values(filesOf(folder))) rmSync(file, { force: true });
    await progress.step(text, make);
  }
}

function filesOf(folder: string): Snapshot {
  return { ramFile: join(folder, "ram"), stateFile: join(folder, "state") };
}

/** Stands in for the payload disk, of the same size. */
function emptyDisk(folder: string): string {
  const file = join(folder, "empty");
  writeFileSync(file, "");
  truncateSync(file, payloadBytes);
  return file;
}
