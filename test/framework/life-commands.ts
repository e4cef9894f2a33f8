/** What happens in random sequences to a process and to the model of its large pages' lives. */

import fc from "fast-check";

/** Large pages of the process. */
export const PAGES = 3;
/** Part 0 of each large page is the one that goes bad, part 1 another. */
export const OFFSETS = [4096, 1_048_576] as const;

/** Real steps at which a guard is killed, and how many steps of the model were done before. */
const deaths = [
  ["planned", 1],
  ["salvaged", 2],
  ["lost-marked", 3],
  ["intent-recorded", 4],
  ["tagged", 4],
  ["swapped", 5],
] as const;

/** Real steps of putting pages back at which a guard is killed; the model's steps done before for the first page, and for others. */
export const deathsAfterReset = [
  ["reset-seen", 1, 1],
  ["heal-recorded", 2, 2],
  ["heal-paused", 4, 4],
  ["hole-punched", 4, 4],
  ["page-allocated", 4, 4],
  ["heal-copied", 5, 4],
  ["heal-swapped", 6, 4],
  ["advice-renewed", 6, 4],
  ["heal-outcome-recorded", 7, 4],
] as const;

/** What can happen to both. */
export type LifeCommand =
  | { readonly kind: "error" | "remap"; readonly page: number }
  | { readonly kind: "touch"; readonly page: number; readonly part: 0 | 1 }
  | {
      readonly kind: "dies";
      readonly page: number;
      readonly part: 0 | 1;
      readonly at: (typeof deaths)[number];
    }
  | { readonly kind: "reset" }
  | { readonly kind: "dies-after-reset"; readonly at: (typeof deathsAfterReset)[number] }
  | { readonly kind: "guard-starts" }
  | { readonly kind: "guard-dies" };

const page = fc.integer({ min: 0, max: PAGES - 1 });
const part = fc.constantFrom(0 as const, 1 as const);
/** Any of them. */
export const anyCommand: fc.Arbitrary<LifeCommand> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("error" as const), page }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("touch" as const), page, part }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("dies" as const), page, part, at: fc.constantFrom(...deaths) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "reset" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("dies-after-reset" as const),
      at: fc.constantFrom(...deathsAfterReset),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "guard-starts" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "guard-dies" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remap" as const), page }) },
);
