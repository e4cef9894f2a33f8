import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** The project's folder: two above the compiled lab (`dist/lab`). */
export const projectFolder: string = resolve(import.meta.dirname, "../..");

/**
 * Where the lab keeps its image and snapshots between runs (about 1.5 GB).
 *
 * @returns `$HUGEMEND_CACHE`, else `$XDG_CACHE_HOME/hugemend`, else `~/.cache/hugemend`
 */
export function cacheFolder(): string {
  const own = process.env["HUGEMEND_CACHE"];
  if (own !== undefined && own !== "") return resolve(own);
  const xdg = process.env["XDG_CACHE_HOME"];
  return join(xdg !== undefined && xdg !== "" ? resolve(xdg) : join(homedir(), ".cache"), "hugemend");
}
