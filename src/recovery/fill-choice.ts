/** Whether a replacement is filled before it is put in place, or after. */

/** What the user chose. */
export type FillChoice = "eager" | "lazy" | "auto";

/** From this size on copying at once takes longer than a VM should stand still. */
export const LAZY_FROM: number = 64 * 1024 * 1024;

/** @returns whether large pages of a size are meant to be replaced lazily */
export function wantsLazy(choice: FillChoice, size: number): boolean {
  return choice === "lazy" || (choice === "auto" && size >= LAZY_FROM);
}

/** Up to this size a spare has its memory ready: 2 MiB a VM are little beside its RAM, more would have to be justified. */
export const POPULATED_UP_TO: number = 2 * 1024 * 1024;

/** @returns what kind of spare large pages of a size are replaced with; `none` where lost pages are marked in a file of their own */
export function spareFor(
  { fill, poisonWith }: { readonly fill: FillChoice; readonly poisonWith?: "uffd" | "hwpoison" },
  size: number,
): "empty" | "populated" | "none" {
  if (poisonWith === "hwpoison") return "none";
  if (wantsLazy(fill, size)) return "empty";
  return size <= POPULATED_UP_TO ? "populated" : "none";
}
