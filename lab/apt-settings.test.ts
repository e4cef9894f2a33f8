import assert from "node:assert/strict";
import { test } from "node:test";
import { pickMirror } from "./apt-settings.js";

test("the main archive is picked, not the security archive nor somebody else's", () => {
  const targets = [
    "http://packages.example/apt main",
    "http://mirror.example/debian-security main",
    "http://mirror.example/debian contrib",
    "http://mirror.example/debian main",
  ];
  assert.equal(pickMirror(targets.join("\n")), "http://mirror.example/debian");
});

test("no main archive among the sources gives undefined", () => {
  assert.equal(pickMirror(""), undefined);
  assert.equal(pickMirror("file:/srv/debian main\n"), undefined);
});
