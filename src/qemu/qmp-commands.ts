/** The QMP commands Hugemend uses, each with the shape of its answer checked. Unknown fields are ignored. */

import { z } from "zod";
import { QemuError } from "./qemu-error.js";
import type { ExecuteOptions, QmpExecutor } from "./qmp-connection.js";
import { type QmpVersion, versionSchema } from "./qmp-greeting.js";

/** QEMU: qapi/run-state.json, StatusInfo. */
export interface VmStatus {
  readonly running: boolean;
  /** RunState: `running`, `paused`, `prelaunch`, `inmigrate`, `suspended`, … */
  readonly status: string;
}

/** QEMU: qapi/machine.json, Memdev: one memory backend. */
export interface Memdev {
  readonly id: string | null;
  readonly size: number;
  /** Null in QEMU before 6.0. */
  readonly share: boolean | null;
}

/** QEMU: qapi/machine.json, MemoryDeviceInfo: RAM plugged in beside the base memory. */
export interface MemoryDevice {
  /** `dimm`, `nvdimm`, `virtio-mem`, `virtio-pmem`, `sgx-epc`, `hv-balloon`. */
  readonly type: string;
  readonly id: string | null;
  /** Guest physical address in bytes; null for kinds without one. */
  readonly address: bigint | null;
  readonly size: bigint | null;
}

/** QEMU: qapi/machine.json, CpuInfoFast: one virtual CPU. */
export interface VirtualCpu {
  readonly index: number;
  /** Of the thread that runs it, in QEMU's own pid namespace. */
  readonly threadId: number;
  /** Where QEMU keeps its properties. */
  readonly qomPath: string;
}

/** Names QEMU knows; feature detection by these only, since type names are masked (QEMU: docs/devel/qapi-code-gen.rst). */
export interface QmpFeatures {
  readonly commands: ReadonlySet<string>;
  readonly events: ReadonlySet<string>;
}

const MAX_ITEMS = 10_000;
const name = z.string().max(10_000);
// JSON.parse rounds above 2^53; guest addresses and sizes stay far below (52 bits).
const whole = z.int().nonnegative();
const statusSchema = z.object({ running: z.boolean(), status: name });
const memdevSchema = z
  .array(z.object({ id: name.optional(), size: whole, share: z.boolean().optional() }))
  .max(MAX_ITEMS);
const memoryDeviceSchema = z
  .array(
    z.object({
      type: name,
      data: z.object({
        id: name.optional(),
        addr: whole.optional(),
        memaddr: whole.optional(),
        size: whole.optional(),
      }),
    }),
  )
  .max(MAX_ITEMS);
const cpuSchema = z
  .array(z.object({ "cpu-index": whole, "thread-id": whole, "qom-path": name }))
  .max(MAX_ITEMS);
const schemaSchema = z.array(z.object({ name, "meta-type": name })).max(100_000);

/** Typed commands over any executor. Every method throws what `QmpExecutor.execute` throws, and HM_QMP_ANSWER. */
export class QmpCommands {
  readonly #executor: QmpExecutor;
  #features: Promise<QmpFeatures> | null = null;

  constructor(executor: QmpExecutor) {
    this.#executor = executor;
  }

  queryStatus(options?: ExecuteOptions): Promise<VmStatus> {
    return this.#ask("query-status", statusSchema, options);
  }

  /** Resolves after the vCPUs stand still and all disk I/O is drained and flushed (QEMU: system/cpus.c, do_vm_stop). */
  async stop(options?: ExecuteOptions): Promise<void> {
    await this.#executor.execute("stop", {}, options);
  }

  async cont(options?: ExecuteOptions): Promise<void> {
    await this.#executor.execute("cont", {}, options);
  }

  queryVersion(options?: ExecuteOptions): Promise<QmpVersion> {
    return this.#ask("query-version", versionSchema, options);
  }

  async queryMemdev(options?: ExecuteOptions): Promise<readonly Memdev[]> {
    const list = await this.#ask("query-memdev", memdevSchema, options);
    return list.map((m) => ({ id: m.id ?? null, size: m.size, share: m.share ?? null }));
  }

  async queryMemoryDevices(options?: ExecuteOptions): Promise<readonly MemoryDevice[]> {
    const list = await this.#ask("query-memory-devices", memoryDeviceSchema, options);
    return list.map(({ type, data }) => {
      const at = data.addr ?? data.memaddr;
      return {
        type,
        id: data.id ?? null,
        address: at === undefined ? null : BigInt(at),
        size: data.size === undefined ? null : BigInt(data.size),
      };
    });
  }

  /** Interrupts no virtual CPU (QEMU: docs/about/removed-features.rst, on query-cpus). */
  async queryCpusFast(options?: ExecuteOptions): Promise<readonly VirtualCpu[]> {
    const list = await this.#ask("query-cpus-fast", cpuSchema, options);
    return list.map((c) => ({ index: c["cpu-index"], threadId: c["thread-id"], qomPath: c["qom-path"] }));
  }

  /** @returns a property of an object of QEMU's that is text */
  async qomString(path: string, property: string, options?: ExecuteOptions): Promise<string> {
    const value = await this.#executor.execute("qom-get", { path, property }, options);
    return checked("qom-get", name, value);
  }

  /** Runs a line of the human monitor. @returns its text; an unknown command is text as well, not an error */
  humanMonitor(line: string, options?: ExecuteOptions): Promise<string> {
    const answer = this.#executor.execute("human-monitor-command", { "command-line": line }, options);
    return answer.then((value) => checked("human-monitor-command", z.string(), value));
  }

  /** The commands and events this QEMU knows; asked once. */
  features(options?: ExecuteOptions): Promise<QmpFeatures> {
    if (this.#features === null) {
      this.#features = this.#queryFeatures(options);
      // A failed question may be asked again.
      this.#features.catch(() => {
        this.#features = null;
      });
    }
    return this.#features;
  }

  async #queryFeatures(options?: ExecuteOptions): Promise<QmpFeatures> {
    const entries = await this.#ask("query-qmp-schema", schemaSchema, options);
    const named = (kind: string): ReadonlySet<string> =>
      new Set(entries.filter((e) => e["meta-type"] === kind).map((e) => e.name));
    return { commands: named("command"), events: named("event") };
  }

  async #ask<T>(command: string, schema: z.ZodType<T>, options?: ExecuteOptions): Promise<T> {
    return checked(command, schema, await this.#executor.execute(command, {}, options));
  }
}

function checked<T>(command: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new QemuError("HM_QMP_ANSWER", `QEMU's answer to ${command} does not have the known shape`, {
    present: z.prettifyError(result.error).slice(0, 500),
    remedy: "Please report it together with QEMU's version",
  });
}
