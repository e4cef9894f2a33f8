/** Numbers that are written down in the source, compared with the kernel's and the C library's own headers. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { arm64 } from "../../src/linux/arch/arm64.js";
import { x64 } from "../../src/linux/arch/x64.js";
import { errno } from "../../src/linux/errno.js";
import { mapping } from "../../src/linux/native-memory.js";
import { PROCMAP_QUERY, QUERY_SIZE, queryField } from "../../src/linux/procfs/mapping-query.js";
import { BUS_MCEERR_AO, BUS_MCEERR_AR, SIGNAL_INFO_SIZE } from "../../src/linux/signal-info.js";
import { signal } from "../../src/linux/signals.js";
import { USERFAULTFD_IOC_NEW, userfaultfdRequest } from "../../src/linux/userfaultfd.js";
import { MESSAGE_SIZE } from "../../src/linux/userfaultfd-fill.js";

/** Runs C's preprocessor over an expression after some headers. */
function evaluate(headers: readonly string[], words: readonly string[]): string[] {
  const includes = headers.flatMap((header) => ["-include", header]);
  const input = words.map((word) => `value ${word}`).join("\n");
  const output = execFileSync("gcc", ["-E", "-P", ...includes, "-"], { input, encoding: "utf8" });
  return [...output.matchAll(/^value (.*)$/gm)].map(([, value]) => (value ?? "").trim());
}

function assertNumbers(headers: readonly string[], numbers: Readonly<Record<string, number>>): void {
  const names = Object.keys(numbers);
  assert.ok(names.length > 0);
  const found = evaluate(headers, names);
  names.forEach((name, index) => {
    assert.equal(Number(found[index]), numbers[name], `${name} is ${found[index]}`);
  });
}

function prefixed(prefix: string, numbers: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [prefix + name, value]));
}

describe("numbers of the kernel", () => {
  it("for system calls on x86-64", () => {
    assertNumbers(["asm/unistd_64.h"], prefixed("__NR_", x64.systemCalls));
  });
  it("for system calls on arm64", () => {
    // The generic table names these two after their 64-bit offsets.
    const { mmap, ftruncate, ...others } = arm64.systemCalls;
    assertNumbers(
      ["asm/bitsperlong.h", "asm-generic/unistd.h"],
      prefixed("__NR_", { ...others, mmap, ftruncate }),
    );
  });
  it("for errors", () => assertNumbers(["errno.h"], errno));
  it("for signals", () => assertNumbers(["asm/signal.h"], signal));
  it("for mappings", () => assertNumbers(["linux/mman.h"], mapping));
  it("in siginfo", () => {
    assertNumbers(["asm-generic/siginfo.h"], { BUS_MCEERR_AR, BUS_MCEERR_AO, SI_MAX_SIZE: SIGNAL_INFO_SIZE });
  });
  it("for userfaultfd, as its own header derives them", () => {
    const { API, REGISTER, UNREGISTER, WAKE, COPY } = userfaultfdRequest;
    const program = `#include <sys/ioctl.h>
      #include <linux/userfaultfd.h>
      _Static_assert(UFFDIO_API == ${API}u, ""); _Static_assert(UFFDIO_REGISTER == ${REGISTER}u, "");
      _Static_assert(UFFDIO_UNREGISTER == ${UNREGISTER}u, "");
      _Static_assert(UFFDIO_WAKE == ${WAKE}u, ""); _Static_assert(UFFDIO_COPY == ${COPY}u, "");
      _Static_assert(_IO(UFFDIO, 0x00) == ${USERFAULTFD_IOC_NEW}u, "");
      _Static_assert(sizeof(struct uffd_msg) == ${MESSAGE_SIZE}, "");
      _Static_assert(__builtin_offsetof(struct uffd_msg, arg.pagefault.address) == 16, "");
      _Static_assert(UFFD_EVENT_PAGEFAULT == 0x12 && UFFD_EVENT_REMAP == 0x14, "");
      struct uffdio_poison_ { struct uffdio_range range; __u64 mode; __s64 updated; };
      _Static_assert(_IOWR(UFFDIO, 0x08, struct uffdio_poison_) == ${userfaultfdRequest.POISON}u, "");`;
    execFileSync("gcc", ["-fsyntax-only", "-x", "c", "-"], {
      input: program,
      stdio: ["pipe", "pipe", "pipe"],
    });
  });
  it("for PROCMAP_QUERY, from its fields", () => {
    // struct procmap_query as Linux 6.11 has it; the headers of older systems do not.
    const members: Readonly<Record<keyof typeof queryField, string>> = {
      size: "size",
      queryFlags: "query_flags",
      address: "query_addr",
      start: "vma_start",
      end: "vma_end",
      flags: "vma_flags",
      pageSize: "vma_page_size",
      offset: "vma_offset",
      inode: "inode",
      deviceMajor: "dev_major",
      deviceMinor: "dev_minor",
      nameSize: "vma_name_size",
      nameAddress: "vma_name_addr",
    };
    const offsets = Object.entries(queryField).map(([field, at]) => {
      const member = new Map(Object.entries(members)).get(field);
      return `_Static_assert(__builtin_offsetof(struct query, ${member}) == ${at}, "");`;
    });
    const program = `#include <sys/ioctl.h>
      #include <linux/types.h>
      struct query { __u64 size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
        __u32 dev_major, dev_minor, vma_name_size, build_id_size; __u64 vma_name_addr, build_id_addr; };
      _Static_assert(sizeof(struct query) == ${QUERY_SIZE}, "");
      _Static_assert(_IOWR('f', 17, struct query) == ${PROCMAP_QUERY}u, "");
      ${offsets.join("\n")}`;
    execFileSync("gcc", ["-fsyntax-only", "-x", "c", "-"], {
      input: program,
      stdio: ["pipe", "pipe", "pipe"],
    });
  });
  it("for the registers and the signal frame of x86-64", () => {
    const program = `#include <stddef.h>
      #include <signal.h>
      #include <sys/user.h>
      #include <ucontext.h>
      _Static_assert(sizeof(struct user_regs_struct) == ${x64.registersSize}, "");
      _Static_assert(offsetof(ucontext_t, uc_mcontext) == 40, "");
      _Static_assert(offsetof(ucontext_t, uc_sigmask) == 296, "");
      _Static_assert(offsetof(ucontext_t, uc_mcontext.fpregs) == 40 + 184, "");
      _Static_assert(offsetof(siginfo_t, si_code) == 8, "");
      _Static_assert(offsetof(siginfo_t, si_addr) == 16, "");
      _Static_assert(offsetof(siginfo_t, si_addr_lsb) == 24, "");`;
    execFileSync("gcc", ["-fsyntax-only", "-x", "c", "-"], {
      input: program,
      stdio: ["pipe", "pipe", "pipe"],
    });
  });
});
