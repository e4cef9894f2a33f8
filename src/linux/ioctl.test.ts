import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ioctlRequest } from "./ioctl.js";
import { userfaultfdRequest } from "./userfaultfd.js";

describe("ioctl numbers", () => {
  it("are those of the kernel for userfaultfd", () => {
    // Printed by a C program from include/uapi/linux/userfaultfd.h.
    assert.deepEqual(userfaultfdRequest, {
      API: 0xc018aa3f,
      REGISTER: 0xc020aa00,
      UNREGISTER: 0x8010aa01,
      WAKE: 0x8010aa02,
      COPY: 0xc028aa03,
      POISON: 0xc020aa08,
    });
  });
  it("are derived as asm-generic/ioctl.h does", () => {
    assert.equal(ioctlRequest("none", 0xae, 0x00, 0), 0xae00); // KVM_GET_API_VERSION
    assert.equal(ioctlRequest("none", 0xae, 0x80, 0), 0xae80); // KVM_RUN
    assert.equal(ioctlRequest("write", 0xae, 0x46, 32), 0x4020ae46); // KVM_SET_USER_MEMORY_REGION
    assert.equal(ioctlRequest("read", 0x54, 0x30, 4), 0x80045430); // TIOCGPTN
  });
});
