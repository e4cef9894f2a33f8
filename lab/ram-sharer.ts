/**
 * A process in the lab host that maps a VM's RAM, as a vhost-user back end does, and never touches it. It ends with its standard input.
 *
 *   node ram-sharer.js PID
 */

import { openSync } from "node:fs";
import { mapFile } from "../src/linux/native-memory.js";
import { hugetlbMappings, mapFilesPath } from "../src/linux/procfs/map-files.js";
import { readMaps } from "../src/linux/procfs/maps.js";

if (process.argv[1] === import.meta.filename) {
  const pid = Number(process.argv[2]);
  const [ram] = hugetlbMappings(pid, readMaps(pid));
  if (ram === undefined) throw new Error(`process ${pid} maps no large pages`);
  // SAFETY: a shared mapping of pages that are all there, in this process only; it goes when we die.
  mapFile(openSync(mapFilesPath(pid, ram.mapping), "r+"), 0n, ram.pageSize);
  process.stdout.write("mapped\n");
  process.stdin.resume().on("end", () => process.exit());
}
