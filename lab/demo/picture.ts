import { hex } from "../victim.js";
import type { SideResult } from "./side.js";

const columns = 32;
const cell = 14;
const gap = 2;

/** A large page as an inline SVG: 512 cells, row by row, each intact or lost; the one that was really bad has a frame. */
export function largePagePicture(side: SideResult, title: string): string {
  const pitch = cell + gap;
  const cells = Array.from({ length: 512 }, (_, page) => {
    const gpa = side.largeGpa + page * 4096;
    const state = isLost(side, gpa) ? "lost" : "intact";
    const bad = gpa === side.badGpa ? " bad" : "";
    const x = (page % columns) * pitch + gap;
    const y = Math.floor(page / columns) * pitch + gap;
    const label = `${hex(gpa)}: ${state}${bad === "" ? "" : ", the page that really failed"}`;
    return `<rect class="${state}${bad}" x="${x}" y="${y}" width="${cell}" height="${cell}" rx="2.5"><title>${label}</title></rect>`;
  });
  const width = columns * pitch + gap;
  const height = (512 / columns) * pitch + gap;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">${cells.join("")}</svg>`;
}

/** How many of the large page's 512 pages are lost. */
export function lostInPicture(side: SideResult): number {
  return Array.from({ length: 512 }, (_, page) => side.largeGpa + page * 4096).filter((gpa) =>
    isLost(side, gpa),
  ).length;
}

function isLost(side: SideResult, gpa: number): boolean {
  if (side.died !== undefined) return true;
  return side.runs.some((run) => gpa >= run.gpa && gpa < run.gpa + run.pages * 4096);
}
