import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decimalNames, formatError, readText } from "./proc-file.js";
import { isQemu, isQemuName } from "./process-identity.js";
import { readProcesses, readTasks } from "./tasks.js";

describe("directory names", () => {
  it("keeps plain numbers only, in order", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat()), fc.array(fc.string()), (numbers, others) => {
        const strangers = others.filter((name) => !/^\d+$/.test(name));
        const expected = numbers.filter((value) => value >= 1).sort((left, right) => left - right);
        assert.deepEqual(decimalNames([...strangers, ...numbers.map(String)]), expected);
      }),
    );
    assert.deepEqual(decimalNames(["0", "01", "1e3", "-1", " 2", "3", "0x4", "self"], 0), [0, 3]);
  });

  it("lists this process and its threads", () => {
    assert.ok(readProcesses().includes(process.pid));
    assert.ok(readTasks(process.pid).includes(process.pid));
    assert.throws(() => readTasks(4_194_304), { code: "HM_PROC_GONE" });
  });
});

describe("errors of reading", () => {
  it("shortens what was found and keeps the message on one line", () => {
    const error = formatError("/proc/PID/maps", "a form", `\n${"x".repeat(500)}`);
    assert.equal(error.code, "HM_PROC_FORMAT");
    assert.ok(error.message.length < 400 && !error.message.includes("\n"), error.message);
  });

  it("tells a missing file from one that cannot be read", () => {
    assert.throws(() => readText("/proc/self/nothing"), { code: "HM_PROC_GONE" });
    assert.throws(() => readText("/proc/self"), { code: "HM_PROC_READ" });
  });
});

describe("process identity", () => {
  it("knows QEMU by the name of its executable", () => {
    for (const path of ["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/kvm"]) {
      assert.equal(isQemuName(path), true, path);
    }
    for (const path of [
      "/usr/bin/qemu-img",
      "/usr/bin/kvm-ok",
      "/opt/qemu-system-x86/bin/node",
      "/usr/bin/xkvm",
    ]) {
      assert.equal(isQemuName(path), false, path);
    }
  });

  it("does not take this process, or a kernel thread, for QEMU; says when there is no process", () => {
    assert.equal(isQemu(process.pid), false);
    assert.throws(() => isQemu(4_194_304), { code: "HM_PROC_GONE" });
  });
});
