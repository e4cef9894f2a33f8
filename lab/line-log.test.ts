import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineLog } from "./line-log.js";

test("any cutting of a text into pieces gives the same lines", () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z ]{0,12}$/)), fc.array(fc.nat(40)), (lines, cuts) => {
      const text = lines.map((line) => `${line}\n`).join("");
      const log = new LineLog();
      let at = 0;
      for (const cut of cuts) {
        log.push(text.slice(at, at + cut));
        at += cut;
      }
      log.push(text.slice(at));
      assert.deepEqual(log.lines, lines);
    }),
  );
});

test("a line is found when it comes before, and when it comes after the wait begins", async () => {
  const log = new LineLog();
  log.push("one\ntw");
  assert.equal(await log.wait("one", (line) => line === "one", 1000), "one");
  const later = log.wait("two", (line) => line === "two", 1000);
  log.push("o\n");
  assert.equal(await later, "two");
});

test("a wait ends with an error when its time is over or nothing can come any more", async () => {
  const log = new LineLog();
  await assert.rejects(
    log.wait("ever", () => false, 10),
    /Waited in vain for ever/,
  );
  const waiting = log.wait("ever", () => false, 1000);
  log.end(new Error("gone"));
  await assert.rejects(waiting, /gone/);
  await assert.rejects(
    log.wait("ever", () => false, 1000),
    /gone/,
  );
});
