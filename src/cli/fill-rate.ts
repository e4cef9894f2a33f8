import { CliError } from "./cli-error.js";

const FASTEST = 1_000_000;

/** @param text what was given for --fill-rate @returns MiB a second; 0: only what is touched @throws CliError HM_CLI_FILL_RATE */
export function parseFillRate(text: string): number {
  const rate = Number(text);
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && rate <= FASTEST) return rate;
  throw new CliError("HM_CLI_FILL_RATE", "--fill-rate is no number of MiB a second", {
    present: JSON.stringify(text),
    expected: `0 to ${FASTEST}`,
    remedy: "Leave it out for no limit, or give for example --fill-rate 200",
  });
}
