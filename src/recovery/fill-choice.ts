/** Whether a replacement is filled before it is put in place, or after. */

/** What the user chose. */
export type FillChoice = "eager" | "lazy" | "auto";

/** From this size on copying at once takes longer than a VM should stand still. */
export const LAZY_FROM: number = 64 * 1024 * 1024;

/** @returns whether large pages of a size are meant to be replaced lazily */
export function wantsLazy(choice: FillChoice, size: number): boolean {
  return choice === "lazy" || (choice === "auto" && size >= LAZY_FROM);
}
