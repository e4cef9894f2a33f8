import assert from "node:assert/strict";
import { nextLife } from "../../src/recovery/page-life.js";
import { settle } from "../../src/recovery/page-life-rules.js";
import { type LifeEvent, newPage, type PageLife } from "../../src/recovery/page-life-state.js";
import { describe, expectAlive, expectOnlyLost } from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

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

/** What happens to a real VM, and what the model says must come of it. */
export const modelReplay: Scenario = {
  name: "model-replay",
  onlyInAll: true,
  summary: `${sequences.length} sequences of errors, accesses, pauses and guards' deaths on a real VM go as the model says`,
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
    return `${describe(result)}; ${sequences.flat().length} events`;
  },
};

async function replay(
  lab: LabSession,
  large: { readonly gpa: number; readonly index: number },
  sequence: readonly string[],
): Promise<PageLife> {
  let life = newPage;
  let guard: LabGuard | undefined;
  for (const [number, text] of sequence.entries()) {
    const event = eventOf(text);
    const next = nextLife(life, event);
    assert.ok(next !== undefined, `${text} can happen`);
    const rest = next.page.work === "absent" ? { page: next.page, seen: [] } : settle(next.page);
    const where = `event ${number} (${text}) of: ${sequence.join(", ")}`;
    if (event.kind === "guard-starts") guard = await lab.guard();
    else if (event.kind === "guard-dies") await end(guard, 9);
    else {
      const answer = await happen(lab, large, event);
      const told = [...next.seen, ...rest.seen].some(({ kind }) => kind === "told");
      if (answer !== undefined) assert.equal(answer, told ? "lost" : "ok", where);
    }
    if (event.kind === "guard-dies") guard = undefined;
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

/** @returns what the guest saw of an access */
async function happen(
  lab: LabSession,
  { gpa, index }: { readonly gpa: number; readonly index: number },
  event: LifeEvent,
): Promise<string | undefined> {
  const { checker, qmp } = lab.victim;
  const page = "part" in event ? (parts[event.part] ?? 0) : 0;
  if (event.kind === "touch") return checker.touch(index + page);
  if (event.kind === "store") return checker.store(index + page);
  if (event.kind === "error") await lab.victim.poison([gpa + page * 4096]);
  if (event.kind === "operator-stops") await qmp.execute("stop");
  if (event.kind === "operator-resumes") await qmp.execute("cont");
  return undefined;
}

function eventOf(text: string): LifeEvent {
  const [kind, part] = text.split(" ");
  // SAFETY: the sequences above are written in the model's own words; a wrong one is refused by the model.
  return (part === undefined ? { kind } : { kind, part: Number(part) }) as LifeEvent;
}
