import assert from "node:assert/strict";
import { nextLife } from "../../src/recovery/page-life.js";
import { settle } from "../../src/recovery/page-life-rules.js";
import { type LifeEvent, newPage, type PageLife } from "../../src/recovery/page-life-state.js";
import type { OwnLargePage } from "../checker.js";
import { describe, expectAlive, expectOnlyLost } from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";
import { expectWhole, overlays, reboot } from "./pause-and-reset.js";

/** Where the model's two parts lie in the large page. */
const parts = [7, 300] as const;

/**
 * Sequences of the model's events, each on a large page of its own. Not among them: touching a good part of a bad page without a
 * guard, because the guest itself then never touches that part again.
 */
const sequences: readonly (readonly string[])[] = [
  ["guard-starts", "error 0", "touch 1", "store 1", "touch 0", "touch 1"],
  ["error 0", "guard-starts", "touch 1", "touch 0"],
  [
    "guard-starts",
    "operator-stops",
    "error 1",
    "operator-resumes",
    "touch 0",
    "store 0",
    "guard-dies",
    "touch 0",
    "touch 1",
  ],
  [
    "guard-starts",
    "guard-dies",
    "operator-stops",
    "error 0",
    "guard-starts",
    "operator-resumes",
    "touch 1",
    "touch 0",
  ],
  ["guard-starts", "store 0", "touch 0", "touch 1"],
];

/**
 * The same with resets of the guest, which concern the whole VM: what the sequences above have lost is there again, too. A guest that is
 * reset while no guard runs is kept from running until one does (docs/limits.md).
 */
const resets: readonly (readonly string[])[] = [
  ["guard-starts", "error 0", "touch 0", "reset", "touch 0", "touch 1", "error 1", "touch 1", "reset"],
  [
    "guard-starts",
    "error 1",
    "touch 1",
    "operator-stops",
    "guard-dies",
    "reset",
    "guard-starts",
    "operator-resumes",
    "touch 1",
    "store 0",
    "touch 0",
  ],
];

/** What happens to a real VM, and what the model says must come of it. */
export const modelReplay: Scenario = {
  name: "model-replay",
  onlyInAll: true,
  summary: `${sequences.length + resets.length} sequences of errors, accesses, pauses, resets and guards' deaths on a real VM go as the model says`,
  victim: usualVictim,
  async run(lab) {
    const large = await lab.victim.ownLargePages(sequences.length);
    const lost: number[] = [];
    for (const [number, sequence] of sequences.entries()) {
      const { gpa = 0, index = 0 } = large[number] ?? {};
      const end = await replay(lab, { gpa, index }, sequence);
      for (const [part, page] of parts.entries()) if (end.gone[part] === true) lost.push(gpa + page * 4096);
    }
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, lost);
    await expectAlive(lab);
    for (const sequence of resets) {
      // Behind those that the sequences above have used.
      const fresh = (await lab.victim.ownLargePages(sequences.length + 2)).at(-1);
      const end = await replay(lab, fresh ?? { gpa: 0, index: 0 }, sequence);
      assert.deepEqual(end.gone, [false, false], "what the model says is lost in the end");
      await expectWhole(lab, `after: ${sequence.join(", ")}`);
      assert.equal(await overlays(lab), 0, "replaced large pages in the end");
    }
    return `${describe(result)}; ${[...sequences, ...resets].flat().length} events`;
  },
};

async function replay(lab: LabSession, large: OwnLargePage, sequence: readonly string[]): Promise<PageLife> {
  let place = large;
  let life = newPage;
  let guard: LabGuard | undefined;
  /** The VM was reset while it stood: the guest starts anew when it is resumed. */
  let asleep = false;
  for (const [number, text] of sequence.entries()) {
    const event = eventOf(text);
    const next = nextLife(life, event);
    assert.ok(next !== undefined, `${text} can happen`);
    const rest = next.page.work === "absent" ? { page: next.page, seen: [] } : settle(next.page);
    const where = `event ${number} (${text}) of: ${sequence.join(", ")}`;
    const boots = event.kind === "reset" ? life.running : event.kind === "operator-resumes" && asleep;
    if (event.kind === "guard-starts") guard = await lab.guard();
    else if (event.kind === "guard-dies") await end(guard, 9);
    else if (boots) {
      await reboot(lab, event.kind === "reset" ? "system_reset" : "cont");
      place = await findAgain(lab, place);
    } else {
      const answer = await happen(lab, place, event);
      const told = [...next.seen, ...rest.seen].some(({ kind }) => kind === "told");
      if (answer !== undefined) assert.equal(answer, told ? "lost" : "ok", where);
    }
    if (event.kind === "guard-dies") guard = undefined;
    if (boots) asleep = false;
    else if (event.kind === "reset") asleep = true;
    if (life.mapped === "small" && rest.page.mapped === "large") await guard?.waitFor("healed");
    if (life.mapped === "large" && rest.page.mapped === "small") await guard?.waitFor("recovered");
    life = rest.page;
  }
  await end(guard, 15);
  return life;
}

async function end(guard: LabGuard | undefined, signal: number): Promise<void> {
  guard?.kill(signal);
  await guard?.ended();
}

/** The program of a guest that has started anew names its pages otherwise. */
async function findAgain(lab: LabSession, { gpa }: OwnLargePage): Promise<OwnLargePage> {
  const found = (await lab.victim.checker.largePages()).find((one) => one.gpa === gpa);
  assert.ok(found !== undefined, "the large page belongs to the guest's program again");
  return found;
}

/** @returns what the guest saw of an access */
async function happen(
  lab: LabSession,
  { gpa, index }: OwnLargePage,
  event: LifeEvent,
): Promise<string | undefined> {
  const { checker, qmp } = lab.victim;
  const page = "part" in event ? (parts[event.part] ?? 0) : 0;
  if (event.kind === "touch") return checker.touch(index + page);
  if (event.kind === "store") return checker.store(index + page);
  if (event.kind === "error") await lab.victim.poison([gpa + page * 4096]);
  if (event.kind === "operator-stops") await qmp.execute("stop");
  if (event.kind === "operator-resumes") await qmp.execute("cont");
  if (event.kind === "reset") await qmp.execute("system_reset");
  return undefined;
}

function eventOf(text: string): LifeEvent {
  const [kind, part] = text.split(" ");
  // SAFETY: the sequences above are written in the model's own words; a wrong one is refused by the model.
  return (part === undefined ? { kind } : { kind, part: Number(part) }) as LifeEvent;
}
