// Starts the emulator for one test file, with a folder of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";

const program = process.env.LAKESTAGE_BIN;
assert.ok(program, "set LAKESTAGE_BIN to the lakestage command that is to be tested");

/** Serves with further options until the tests have ended, and gives what the server says about itself. */
export async function serve(...further) {
  const folder = mkdtempSync(join(tmpdir(), "lakestage-javascript-"));
  const server = spawn(
    program,
    ["--json", "--data", join(folder, "data"), "serve", "--blob-port", "0", "--dfs-port", "0", ...further],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  // A file that cannot even be loaded must not leave the server behind.
  process.once("exit", () => server.kill("SIGKILL"));
  after(async () => {
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    assert.equal(await ended, 0, "the server ends well, whatever the tests did to it");
    rmSync(folder, { recursive: true });
  });
  return new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).on("line", (line) => {
      const event = JSON.parse(line);
      if (event.serving) resolve(event);
    });
    server.once("exit", (code) => reject(new Error(`the server ended with ${code} before it served`)));
  });
}
