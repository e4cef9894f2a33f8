import { labImage } from "./image.js";
import { buildPayload } from "./payload.js";
import { Progress } from "./progress.js";
import { ensureRequirements } from "./requirements.js";
import type { LabEnvironment } from "./run-scenario.js";

/** Gets the lab ready: tools, image, this build of Hugemend. Snapshots are made when they are first needed. */
export async function openLab(keep: boolean): Promise<LabEnvironment> {
  const progress = new Progress();
  await ensureRequirements(progress);
  const image = await labImage(progress);
  return { progress, image, payload: await buildPayload(), keep };
}
