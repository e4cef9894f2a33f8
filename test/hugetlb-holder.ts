/** Runs test/victims/hugetlb-holder.c. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Hva, hva } from "../src/linux/address.js";
import { compileVictim } from "./compile-victim.js";

/** A running holder; disposing of it ends it. */
export interface Holder extends AsyncDisposable {
  readonly pid: number;
  /** Address of its first large page. */
  readonly start: Hva;
  /** Its descriptor of the large pages. */
  readonly fd: number;
}

async function firstLine(child: ChildProcess): Promise<string> {
  let output = "";
  let complaint = "";
  child.stderr?.on("data", (data: Buffer) => {
    complaint += data.toString();
  });
  return await new Promise((resolve, reject) => {
    child.stdout?.on("data", (data: Buffer) => {
      output += data.toString();
      if (output.includes("\n")) resolve(output.trim());
    });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`hugetlb-holder ended with ${code}: ${complaint}`)));
  });
}

/**
 * @param words its arguments, see the C file
 * @param program name of the executable, for example `qemu-system-test`
 * @returns the holder, when everything it was asked for is in place
 */
export async function startHolder(words: readonly string[], program = "hugetlb-holder"): Promise<Holder> {
  const child = spawn(compileVictim("hugetlb-holder", program), words, { stdio: ["pipe", "pipe", "pipe"] });
  const closed = once(child, "close");
  const [start, fd] = (await firstLine(child)).split(" ");
  const { pid } = child;
  if (pid === undefined || start === undefined)
    throw new Error("hugetlb-holder did not say where its pages are");
  return {
    pid,
    start: hva(BigInt(`0x${start}`)),
    fd: Number(fd),
    async [Symbol.asyncDispose]() {
      child.stdin?.end();
      await closed;
    },
  };
}
