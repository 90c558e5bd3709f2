// Runs AzCopy against the lake, with a shared access signature and nothing of the user's own settings.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after } from "node:test";

import { accountSignature, serving } from "../javascript/lake.js";

const packaged = dirname(createRequire(import.meta.url).resolve("@azure-tools/azcopy-linux/package.json"));
const program = join(packaged, "dist", "bin", "azcopy_linux_amd64");
// The package does not mark it as a program.
chmodSync(program, 0o755);

const home = mkdtempSync(join(tmpdir(), "lakestage-azcopy-"));
after(() => rmSync(home, { recursive: true }));

const signature = accountSignature("rwdlacup");

/** The signed address of a path, for the DFS endpoint or the Blob endpoint. */
export function address(path, endpoint = serving.dfsEndpoint) {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${encoded}?${signature}`;
}

/** Runs a command and gives its exit code, its text, and the numbers of its summary. */
export function azcopy(...args) {
  const environment = {
    PATH: process.env.PATH,
    HOME: home,
    AZCOPY_LOG_LOCATION: join(home, "log"),
    AZCOPY_JOB_PLAN_LOCATION: join(home, "plan"),
    AZCOPY_CONCURRENCY_VALUE: "8",
  };
  return new Promise((resolve) => {
    execFile(program, [...args, "--output-type", "text"], { env: environment, timeout: 120_000 }, (error, stdout, stderr) => {
      const number = (label) => {
        const found = stdout.match(new RegExp(`${label}: (\\d+)`));
        return found ? Number(found[1]) : undefined;
      };
      resolve({
        code: error ? error.code : 0,
        text: stdout + stderr,
        done: number("Number of File Transfers Completed") ?? number("Number of Copy Transfers Completed"),
        failed: number("Number of File Transfers Failed") ?? number("Number of Copy Transfers Failed"),
        status: stdout.match(/Final Job Status: (\w+)/)?.[1],
      });
    });
  });
}

/** Runs a command that has to work. */
export async function done(...args) {
  const result = await azcopy(...args);
  assert.equal(result.code, 0, result.text);
  if (result.status) assert.equal(result.status, "Completed", result.text);
  return result;
}

/** A new folder on the disk with these files in it. */
export function folder(t, files = {}) {
  const made = mkdtempSync(join(home, "folder-"));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(made, path)), { recursive: true });
    writeFileSync(join(made, path), content);
  }
  return made;
}

/** What is in a folder: path and content. */
export function contents(root) {
  const found = {};
  const walk = (at) => {
    for (const name of readdirSync(at).sort()) {
      const path = join(at, name);
      if (statSync(path).isDirectory()) walk(path);
      else found[relative(root, path)] = readFileSync(path, "utf8");
    }
  };
  walk(root);
  return found;
}
