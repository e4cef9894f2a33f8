import { fileURLToPath } from "node:url";

/** @returns path of a compiled driver of test/integration/drivers */
export function driverPath(name: string): string {
  return fileURLToPath(new URL(`../integration/drivers/${name}.js`, import.meta.url));
}
