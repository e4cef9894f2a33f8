/**
 * Whether the running kernel can handle memory errors at all (CONFIG_MEMORY_FAILURE), from its own configuration
 * or, where that is not published, from what such a kernel shows (mm/memory-failure.c, drivers/base/memory.c).
 */

import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { readRelease } from "./kernel-version.js";

/** Value of one option; `n` covers "is not set" as well as an option the kernel does not know. */
export type ConfigValue = "y" | "m" | "n" | string;

/** An answer together with where it comes from. */
export interface KernelOption {
  /** undefined: nothing on this machine tells. */
  readonly enabled: boolean | undefined;
  /** The file that says so, or why nothing could be said. */
  readonly source: string;
}

/** A whole kernel configuration is about 300 KiB; a larger one is not one. */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/** @param text a kernel .config @param option with its prefix, `CONFIG_MEMORY_FAILURE` @returns its value */
export function parseKernelConfig(text: string, option: string): ConfigValue {
  for (const line of text.split("\n")) {
    if (line.startsWith(`${option}=`)) return line.slice(option.length + 1).trim();
  }
  return "n";
}

/** @returns the running kernel's configuration and its file, or undefined when none is published */
export function readKernelConfig(): { readonly text: string; readonly source: string } | undefined {
  const packed = "/proc/config.gz";
  try {
    const text = gunzipSync(readFileSync(packed), { maxOutputLength: MAX_CONFIG_BYTES }).toString("latin1");
    return { text, source: packed };
  } catch {
    // Not built in (CONFIG_IKCONFIG_PROC), or not readable: the distribution's copy is next.
  }
  const release = readRelease().text;
  for (const source of [`/boot/config-${release}`, `/lib/modules/${release}/config`]) {
    try {
      return { text: readFileSync(source, "latin1"), source };
    } catch {
      // Not there: try the next place.
    }
  }
  return undefined;
}

/** Files that exist only in a kernel with CONFIG_MEMORY_FAILURE. */
const EVIDENCE = ["/proc/sys/vm/memory_failure_recovery", "/sys/devices/system/memory/hard_offline_page"];

/** @returns whether memory errors are handled page by page; without it every one is fatal to the machine */
export function readMemoryFailureOption(): KernelOption {
  const evidence = EVIDENCE.find((path) => existsSync(path));
  if (evidence !== undefined) return { enabled: true, source: evidence };
  const config = readKernelConfig();
  if (config !== undefined) {
    return {
      enabled: parseKernelConfig(config.text, "CONFIG_MEMORY_FAILURE") === "y",
      source: config.source,
    };
  }
  // The sysctl exists whenever the option is set; its absence is proof where /proc/sys is not hidden.
  return existsSync("/proc/sys/vm/overcommit_memory")
    ? { enabled: false, source: "/proc/sys/vm/memory_failure_recovery is missing" }
    : { enabled: undefined, source: "neither a kernel configuration nor /proc/sys/vm can be read" };
}
