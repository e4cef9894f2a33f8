import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gpa } from "../linux/address.js";
import { machineCheckLine, outcomeOf } from "./machine-check.js";
import type { QmpEvent } from "./qmp-events.js";

function event(action: string, required = true, recipient = "guest"): QmpEvent {
  const flags = { recursive: false, "action-required": required };
  return { name: "MEMORY_FAILURE", time: null, data: { recipient, action, flags } };
}

test("the line has QEMU's own values", () => {
  const check = { cpuIndex: 3, gpa: gpa(0x7d00000n), broadcast: false };
  assert.equal(machineCheckLine(check), "mce 3 9 0xbd80000000000134 7 0x7d00000 0x8c");
  assert.equal(
    machineCheckLine({ ...check, broadcast: true }),
    "mce -b 3 9 0xbd80000000000134 7 0x7d00000 0x8c",
  );
});

test("any address and index can be read back from the line", () => {
  fc.assert(
    fc.property(fc.nat(4095), fc.bigInt({ min: 0n, max: 2n ** 52n - 1n }), (cpuIndex, address) => {
      const words = machineCheckLine({ cpuIndex, gpa: gpa(address), broadcast: false }).split(" ");
      assert.equal(Number(words[1]), cpuIndex);
      assert.equal(BigInt(words[5] ?? ""), address);
      assert.equal(words.length, 7);
    }),
  );
});

test("only the event says that the guest was told", () => {
  assert.deepEqual(outcomeOf("", [event("inject")]), { kind: "injected" });
  assert.deepEqual(outcomeOf("CPU 0: MCE capability is not enabled", [event("reset")]), { kind: "reset" });
  // Other virtual CPUs' share of a broadcast, QEMU's own news, and events of another shape say nothing of ours.
  const others = [event("inject", false), event("fatal", true, "hypervisor")];
  assert.deepEqual(outcomeOf("", [...others, { name: "MEMORY_FAILURE", time: null, data: {} }]), {
    kind: "refused",
    answer: "",
  });
  assert.deepEqual(outcomeOf("", [...others, event("inject")]), { kind: "injected" });
  const refusal = "Guest CPU does not support MCA broadcast\r\n";
  assert.deepEqual(outcomeOf(refusal, []), { kind: "no-broadcast" });
  assert.deepEqual(outcomeOf("Invalid MCE bank number\r\n", []), {
    kind: "refused",
    answer: "Invalid MCE bank number",
  });
});
