import { runCommand } from "./command.js";

/** What this machine's apt knows about reaching Debian's archive. */
export interface AptSettings {
  /** The archive's address, as in sources.list; undefined: mmdebstrap's own default. */
  readonly mirror: string | undefined;
  /** Options for apt inside the build: proxy and the like, in apt.conf's syntax. */
  readonly options: readonly string[];
}

const inherited = [
  "Acquire::http::Proxy",
  "Acquire::https::Proxy",
  "Acquire::Check-Valid-Until",
  "Acquire::Check-Date",
  "Acquire::Retries",
] as const;

/**
 * Asks this machine's apt which mirror and proxy it uses, so that the lab is built through the same door (apt-get(8) indextargets,
 * apt-config(8)). A machine without such settings, or without apt's lists, gets mmdebstrap's defaults.
 */
export async function readAptSettings(): Promise<AptSettings> {
  const targets = await output([
    "apt-get",
    "indextargets",
    "--format",
    "$(SITE) $(COMPONENT)",
    "Created-By: Packages",
  ]);
  const options: string[] = [];
  for (const key of inherited) {
    const value = (await output(["apt-config", "shell", "VALUE", key])).match(/^VALUE='(.*)'$/m)?.[1];
    if (value !== undefined && value !== "" && !value.includes('"')) options.push(`${key} "${value}"`);
  }
  return { mirror: pickMirror(targets), options };
}

/**
 * The first source that looks like Debian's main archive.
 *
 * @param targets lines `SITE COMPONENT`
 */
export function pickMirror(targets: string): string | undefined {
  for (const line of targets.split("\n")) {
    const [site = "", component] = line.trim().split(" ");
    if (component === "main" && /^https?:\/\/.+\/debian\/?$/.test(site)) return site;
  }
  return undefined;
}

async function output(argv: readonly string[]): Promise<string> {
  try {
    return (await runCommand(argv)).stdout.toString();
  } catch {
    return "";
  }
}
