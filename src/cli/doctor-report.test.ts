import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { diagnose, fine, problem } from "../guard/doctor/finding.js";
import { renderDiagnosis, renderJson } from "./doctor-report.js";

const TEXT = {
  message: "Something is wrong with the thing.",
  cost: "It costs a page.",
  fix: "Mend the thing.",
};
const OK = fine("HM_DOCTOR_PLATFORM", "Linux on x86-64.");
const PLAIN = { color: false, width: 80 };
const ESCAPE = "\u001b";

describe("the report", () => {
  it("is a table that names cost and remedy, without colour codes unless wanted", () => {
    const diagnosis = diagnose([OK, problem("HM_DOCTOR_KERNEL", "warning", TEXT)]);
    assert.equal(
      renderDiagnosis(diagnosis, 42, PLAIN),
      [
        "ok       PLATFORM  Linux on x86-64.",
        "warning  KERNEL    Something is wrong with the thing.",
        "                   Cost: It costs a page.",
        "                   Fix:  Mend the thing.",
        "",
        "The virtual machine 42 can be protected, with 1 warning.",
        "",
      ].join("\n"),
    );
    assert.ok(renderDiagnosis(diagnosis, 42, { ...PLAIN, color: true }).includes(`${ESCAPE}[33mwarning`));
  });

  it("ends with the verdict", () => {
    const blocker = problem("HM_DOCTOR_KERNEL", "blocker", TEXT);
    const last = (findings: Parameters<typeof diagnose>[0], pid?: number) =>
      renderDiagnosis(diagnose(findings), pid, PLAIN).trimEnd().split("\n").at(-1);
    assert.equal(last([OK]), "Virtual machines on this host can be protected.");
    assert.equal(last([blocker, OK]), "Virtual machines on this host cannot be protected: 1 blocker.");
    assert.equal(last([blocker, blocker], 7), "The virtual machine 7 cannot be protected: 2 blockers.");
  });

  it("keeps lines within the screen, and words whole", () => {
    const long = problem("HM_DOCTOR_KERNEL", "note", { ...TEXT, message: "word ".repeat(60).trim() });
    const lines = renderDiagnosis(diagnose([long]), undefined, PLAIN).split("\n");
    assert.ok(lines.length > 5);
    assert.ok(lines.every((line) => line.length <= 80));
    const path = `/${"x".repeat(200)}`;
    const whole = renderDiagnosis(diagnose([fine("HM_DOCTOR_RAM", `At ${path} it is.`)]), undefined, PLAIN);
    assert.ok(whole.includes(path));
  });

  it("lets no name from outside move the cursor", () => {
    const evil = fine("HM_DOCTOR_RAM", `1 GiB at 0x0 (/dev/hugepages/a\nb${ESCAPE}[2Jc).`);
    const text = renderDiagnosis(diagnose([evil]), undefined, PLAIN);
    assert.ok(!text.includes(ESCAPE));
    assert.equal(text.split("\n").length, 4);
  });

  it("is one object on one line for scripts", () => {
    const text = renderJson(diagnose([OK, problem("HM_DOCTOR_KERNEL", "blocker", TEXT)]));
    assert.equal(text.indexOf("\n"), text.length - 1);
    assert.deepEqual(JSON.parse(text), {
      event: "doctor",
      ok: false,
      findings: [
        { code: "HM_DOCTOR_PLATFORM", severity: "ok", message: "Linux on x86-64." },
        { code: "HM_DOCTOR_KERNEL", severity: "blocker", ...TEXT },
      ],
    });
  });
});
