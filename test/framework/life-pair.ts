/** A real process with the real guard, and the model of its large pages' lives beside it (src/recovery/page-life.ts). */

import assert from "node:assert/strict";
import { nextLife } from "../../src/recovery/page-life.js";
import { settle } from "../../src/recovery/page-life-rules.js";
import { type LifeEvent, newPage, type PageLife, type Seen } from "../../src/recovery/page-life-state.js";
import { GuardProcess } from "./guard-process.js";
import { type deathsAfterReset, type LifeCommand, OFFSETS, PAGES } from "./life-commands.js";
import type { ObligingMonitor } from "./obliging-monitor.js";
import { assertUntouched, overlaysIn, untilUntraced } from "./process-state.js";
import type { RamVictim } from "./ram-victim.js";
import { waitUntil } from "./wait-until.js";

/** See the head of the file. */
export class LifePair {
  readonly #ram: RamVictim;
  readonly #monitor: ObligingMonitor;
  readonly #ledger: string;
  #pages: PageLife[] = Array.from({ length: PAGES }, () => newPage);
  #guard: GuardProcess | undefined;
  /** Large pages that this guard has put back. */
  #healed = 0;

  constructor(ram: RamVictim, monitor: ObligingMonitor, ledger: string) {
    this.#ram = ram;
    this.#monitor = monitor;
    this.#ledger = ledger;
  }

  async play(one: LifeCommand): Promise<void> {
    if (one.kind === "guard-starts") return this.#start("");
    if (one.kind === "guard-dies") return this.#die();
    if (one.kind === "reset") return this.#reset();
    if (one.kind === "dies-after-reset") return this.#dieAfterReset(one.at);
    const life = this.#life(one.page);
    const healthy = life.mapped === "large" && !life.bad.includes(true);
    if (one.kind === "error" && healthy) {
      await this.#ram.poison(one.page);
      this.#apply(one.page, { kind: "error", part: 0 });
    } else if (one.kind === "remap") {
      await this.#ram.victim.ask(`remap ${one.page}`);
      this.#pages[one.page] = { ...newPage, work: life.work };
    } else if (one.kind === "touch") {
      await this.#touch(one.page, one.part, undefined);
    } else if (one.kind === "dies" && life.mapped === "large" && !healthy) {
      await this.#die();
      await this.#start(one.at[0]);
      await this.#touch(one.page, one.part, one.at[1]);
      await this.#guard?.diesAtStep();
      this.#guard = undefined;
      for (let other = 0; other < PAGES; other++) {
        if (other !== one.page) this.#apply(other, { kind: "guard-dies" });
      }
    }
    assert.equal(overlaysIn(this.#ram.pid), this.#small().length, "large pages replaced");
  }

  /** @param steps how many steps the guard does before it dies; undefined: it finishes */
  async #touch(at: number, which: 0 | 1, steps: number | undefined): Promise<void> {
    const seen = [...this.#apply(at, { kind: "touch", part: which })];
    if (steps === undefined && this.#life(at).work !== "absent") {
      const rest = settle(this.#life(at));
      this.#pages[at] = rest.page;
      seen.push(...rest.seen);
    } else if (steps !== undefined) {
      for (let step = 0; step < steps; step++) seen.push(...this.#apply(at, { kind: "step" }));
      seen.push(...this.#apply(at, { kind: "guard-dies" }));
    }
    const found = await this.#ram.touch(at, OFFSETS[which]);
    const address = this.#ram.at(at, OFFSETS[which]).toString(16);
    const told = seen.at(-1)?.kind === "told";
    assert.equal(found, told ? `lost 2 0x${address} 0` : "ok", JSON.stringify(seen));
  }

  /** The guest starts over: QEMU renews a bad large page itself, and punches those out that it cannot reach. */
  async #reset(): Promise<void> {
    for (const [at, life] of this.#pages.entries()) {
      if (life.mapped === "large" && life.bad.includes(true)) await this.#ram.victim.ask(`remap ${at}`);
      if (life.mapped === "small" && life.work === "absent") await this.#ram.victim.ask(`punch ${at}`);
      this.#apply(at, { kind: "reset" });
    }
    if (this.#guard === undefined) return;
    this.#monitor.reset();
    await this.#heal(this.#guard);
  }

  async #dieAfterReset([step, first, others]: (typeof deathsAfterReset)[number]): Promise<void> {
    // Whatever is owed from before comes back first.
    await this.#start("");
    await this.#die();
    const small = this.#small();
    if (small.length === 0) return;
    await this.#start(step);
    for (const [at, life] of this.#pages.entries()) {
      if (life.mapped === "large" && life.bad.includes(true)) await this.#ram.victim.ask(`remap ${at}`);
      this.#apply(at, { kind: "reset" });
      const steps = at === small[0] ? first : small.includes(at) ? others : 0;
      for (let done = 0; done < steps; done++) this.#apply(at, { kind: "step" });
      this.#apply(at, { kind: "guard-dies" });
    }
    this.#monitor.reset();
    await this.#guard?.diesAtStep();
    this.#guard = undefined;
    assert.equal(overlaysIn(this.#ram.pid), this.#small().length, `large pages replaced after ${step}`);
    // Of a page that is back already only the word may be missing.
    const back = small.filter((at) => this.#life(at).mapped === "large");
    await this.#start("", step === "heal-outcome-recorded" ? 0 : back.length);
    await this.#mend(back);
  }

  /** Waits until a guard has put back what the model says it must. */
  async #heal(guard: GuardProcess): Promise<void> {
    const before = this.#small();
    for (const [at, life] of this.#pages.entries()) this.#pages[at] = settle(life).page;
    const back = before.filter((at) => this.#life(at).mapped === "large");
    this.#healed += back.length;
    if (this.#healed > 0) await guard.waitFor("healed", this.#healed);
    await waitUntil("the VM runs", () => this.#monitor.running);
    await this.#mend(back);
  }

  /** What was lost holds zeros, everything else what it held. */
  async #mend(pages: readonly number[]): Promise<void> {
    for (const at of pages) {
      assert.equal(await this.#ram.victim.ask(`mend ${at} ${OFFSETS[0]}`), "mend zeros");
      await this.#ram.check(at);
    }
  }

  #small(): number[] {
    return this.#pages.flatMap(({ mapped }, at) => (mapped === "small" ? [at] : []));
  }

  /** @param words how many large pages this guard tells of that are back already */
  async #start(killAt: string, words = 0): Promise<void> {
    if (this.#guard !== undefined) return;
    await untilUntraced(this.#ram.pid);
    const lost = [OFFSETS[0]];
    const [pid, qmp, ledger] = [this.#ram.pid, this.#monitor.path, this.#ledger];
    this.#guard = await GuardProcess.start({ pid, qmp, ledger, lost, killAt });
    this.#healed = words;
    for (let each = 0; each < PAGES; each++) {
      this.#apply(each, { kind: "guard-starts" });
      // No kernel reports anything here: a page is found bad when it is touched.
      this.#pages[each] = { ...this.#life(each), reported: false };
    }
    await this.#heal(this.#guard);
  }

  async #die(): Promise<void> {
    if (this.#guard === undefined) return;
    await this.#guard.murder();
    this.#guard = undefined;
    for (let each = 0; each < PAGES; each++) this.#apply(each, { kind: "guard-dies" });
  }

  #life(at: number): PageLife {
    return this.#pages[at] ?? newPage;
  }

  #apply(at: number, event: LifeEvent): readonly Seen[] {
    const next = nextLife(this.#life(at), event);
    assert.ok(next !== undefined, `${event.kind} is possible`);
    this.#pages[at] = { ...next.page, reported: false };
    return next.seen;
  }

  /** Ends it all: every byte is what the model says. */
  async finish(): Promise<void> {
    await this.#die();
    // What a guard that died has left beside is removed by the next one, which takes its own along.
    await this.#start("");
    await this.#guard?.stop();
    this.#guard = undefined;
    await assertUntouched(this.#ram.pid);
    for (const [at, life] of this.#pages.entries()) {
      const lost = life.mapped === "small" ? life.lost : life.bad.map(() => life.bad.includes(true));
      await this.#ram.check(
        at,
        life.mapped === "small" ? lost.filter(Boolean).length : lost[0] === true ? 512 : 0,
      );
    }
  }
}
