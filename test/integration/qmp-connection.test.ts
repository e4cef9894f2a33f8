import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QmpClient } from "../../src/qemu/qmp-client.js";
import { QmpCommands } from "../../src/qemu/qmp-commands.js";
import { QmpConnection } from "../../src/qemu/qmp-connection.js";
import { waitUntil } from "../framework/wait-until.js";
import { StockQemu } from "./qmp-stock-qemu.js";

const GREETING = `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""}, "capabilities": []}}\r\n`;

test("greeting, typed commands and features of a stock QEMU", async () => {
  await using qemu = await StockQemu.start({ paused: true });
  using client = await qemu.connect();
  const commands = new QmpCommands(client);
  assert.ok(client.version.major >= 5);
  assert.deepEqual(await commands.queryVersion(), client.version);
  assert.deepEqual(await commands.queryStatus(), { running: false, status: "prelaunch" });
  const { commands: known, events } = await commands.features();
  for (const name of ["stop", "cont", "human-monitor-command", "query-memdev"])
    assert.ok(known.has(name), name);
  for (const name of ["STOP", "RESUME", "RESET", "MEMORY_FAILURE"]) assert.ok(events.has(name), name);
  assert.equal(known.has("STOP"), false);
  await assert.rejects(client.execute("no-such"), { code: "HM_QMP_COMMAND", class: "CommandNotFound" });
  assert.deepEqual(await commands.queryMemoryDevices(), []);
});

test("events: cont, stop and a reset by the operator", async () => {
  await using qemu = await StockQemu.start({ paused: true });
  using client = await qemu.connect();
  const operator = await qemu.operator();
  const seen: string[] = [];
  client.on("*", ({ name, time }) => {
    assert.ok(time !== null && Math.abs(time - Date.now()) < 60_000);
    seen.push(name);
  });
  for (const command of ["cont", "system_reset", "stop"]) await operator.execute(command);
  await waitUntil("RESET and STOP", () => seen.includes("RESET") && seen.includes("STOP"));
  assert.equal(seen[0], "RESUME");
  operator.close();
});

test("a second client of one socket is told that it is taken", async () => {
  await using qemu = await StockQemu.start();
  using first = await qemu.connect();
  await assert.rejects(QmpConnection.open(qemu.socket(), { timeoutMs: 300 }), {
    code: "HM_QMP_STALLED",
    message: /another client is connected/,
  });
  first.close();
  const next = await QmpConnection.open(qemu.socket());
  next.close();
});

test("QEMU killed in the middle of a command: rejected, not repeated, closed for good after bounded attempts", async () => {
  await using qemu = await StockQemu.start();
  using client = await QmpClient.connect(qemu.socket(), { maxAttempts: 2, connectTimeoutMs: 500 });
  qemu.child.kill("SIGSTOP");
  const asked = client.execute("query-status");
  const lost = assert.rejects(asked, { code: "HM_QMP_LOST" });
  await qemu.kill();
  await lost;
  assert.equal((await client.whenClosed).code, "HM_QMP_LOST");
  await assert.rejects(client.execute("query-status"), { code: "HM_QMP_LOST" });
});

test("a command that times out leaves the connection usable, its late answer is dropped", async () => {
  await using qemu = await StockQemu.start();
  using client = await qemu.connect();
  qemu.child.kill("SIGSTOP");
  await assert.rejects(client.execute("query-status", {}, { timeoutMs: 100 }), { code: "HM_QMP_TIMEOUT" });
  const aborter = new AbortController();
  const given = assert.rejects(client.execute("query-status", {}, { signal: aborter.signal }), {
    code: "HM_QMP_ABORTED",
  });
  aborter.abort();
  await given;
  qemu.child.kill("SIGCONT");
  assert.equal((await new QmpCommands(client).queryStatus()).running, true);
});

test("a socket that is missing, dead, no socket, or too long a path", async () => {
  const dir = mkdtempSync(join(tmpdir(), "hugemend-qmp-"));
  try {
    const open = (name: string) => QmpConnection.open(join(dir, name), { timeoutMs: 500 });
    await assert.rejects(open("none"), { code: "HM_QMP_SOCKET_MISSING" });
    writeFileSync(join(dir, "file"), "");
    await assert.rejects(open("file"), { code: "HM_QMP_NOT_A_SOCKET" });
    await assert.rejects(open("file/x"), { code: "HM_QMP_SOCKET_MISSING" });
    const qemu = await StockQemu.start();
    await using _ = qemu;
    await qemu.kill();
    await assert.rejects(QmpConnection.open(qemu.socket()), { code: "HM_QMP_SOCKET_DEAD" });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

/** A peer that says what it likes. */
async function withPeer(talk: (socket: Socket) => void, use: (path: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "hugemend-qmp-"));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    talk(socket);
  });
  try {
    await new Promise<void>((resolve) => server.listen(join(dir, "peer"), resolve));
    await use(join(dir, "peer"));
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  }
}

const OPENERS: readonly (readonly [string, string | Buffer])[] = [
  ["no JSON", "SSH-2.0-OpenSSH\r\n"],
  ["no object", "[1,2]\n"],
  ["no greeting", '{"return": {}}\n'],
  ["invalid UTF-8", Buffer.from([0x22, 0xff, 0x22, 10])],
  ["a version that is none", GREETING.replace('"major": 10', '"major": "ten"')],
  ["a message without end", Buffer.alloc(17 * 2 ** 20, 0x20)],
];

for (const [what, bytes] of OPENERS) {
  test(`a peer that opens with ${what} does not speak QMP`, async () => {
    await withPeer(
      (socket) => socket.write(bytes),
      (path) => assert.rejects(QmpConnection.open(path), { code: "HM_QMP_PROTOCOL", name: "QemuError" }),
    );
  });
}

const ANSWERS: readonly (readonly [string, string])[] = [
  ["an error without id", '{"error": {"class": "GenericError", "desc": "JSON parse error"}}'],
  ["an id nobody asked with", '{"return": {}, "id": 99}'],
  ["neither result nor error", '{"id": 2}'],
  ["an event without time stamp", '{"event": "STOP"}'],
];

for (const [what, answer] of ANSWERS) {
  test(`an answer with ${what} ends the connection`, async () => {
    await withPeer(
      (socket) => {
        let line = 0;
        socket.write(GREETING);
        socket.on("data", () => socket.write(line++ === 0 ? '{"return": {}, "id": 1}\n' : `${answer}\n`));
      },
      async (path) => {
        const connection = await QmpConnection.open(path);
        await assert.rejects(connection.execute("query-status"), { code: "HM_QMP_PROTOCOL" });
        await assert.rejects(connection.execute("query-status"), { code: "HM_QMP_PROTOCOL" });
      },
    );
  });
}

test("a lost connection is made again, and those who listen are told", async () => {
  let clients = 0;
  await withPeer(
    (socket) => {
      const first = clients++ === 0;
      socket.write(GREETING);
      socket.on("data", (bytes) => {
        const { id, execute } = JSON.parse(bytes.toString());
        if (first && execute !== "qmp_capabilities") socket.destroy();
        else socket.write(`${JSON.stringify({ return: { clients }, id })}\n`);
      });
    },
    async (path) => {
      using client = await QmpClient.connect(path);
      const again = new Promise<void>((resolve) => client.onReconnect(resolve));
      await assert.rejects(client.execute("one"), { code: "HM_QMP_LOST" });
      // Sent while there is no connection: waits for the next one.
      assert.deepEqual(await client.execute("two"), { clients: 2 });
      await again;
      assert.equal(client.connected, true);
    },
  );
});
