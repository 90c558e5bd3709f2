// Large content, in parallel and in pieces, up and down.

import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";

import { freshFileSystem, refused } from "./lake.js";

const MiB = 1024 * 1024;
// No multiple of a chunk, so that the last piece is short.
const large = randomFillSync(Buffer.alloc(48 * MiB + 12_345));
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("a buffer goes up in parallel chunks and comes down in parallel blocks", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("large");
  let told = 0;
  await file.upload(large, {
    chunkSize: 3 * MiB,
    maxConcurrency: 8,
    singleUploadThreshold: 1 * MiB,
    onProgress: ({ loadedBytes }) => (told = Math.max(told, loadedBytes)),
    metadata: { sha256: hash(large) },
  });
  assert.equal(told, large.length);
  const found = await file.getProperties();
  assert.equal(found.contentLength, large.length);
  assert.equal(found.metadata.sha256, hash(large));
  const back = await file.readToBuffer(0, undefined, { chunkSize: 5 * MiB, concurrency: 6 });
  assert.equal(hash(back), hash(large));
  const part = await file.readToBuffer(7 * MiB - 3, 9 * MiB, { chunkSize: MiB, concurrency: 4 });
  assert.equal(hash(part), hash(large.subarray(7 * MiB - 3, 16 * MiB - 3)));
});

test("a file goes up and comes down", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const folder = mkdtempSync(join(tmpdir(), "lakestage-upload-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "up"), large);
  const file = fileSystem.getFileClient("from-a-file");
  await file.uploadFile(join(folder, "up"), { singleUploadThreshold: 1, chunkSize: 8 * MiB });
  await file.readToFile(join(folder, "down"));
  assert.equal(hash(readFileSync(join(folder, "down"))), hash(large));
});

test("a stream goes up without its length", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("from-a-stream");
  const pieces = function* () {
    for (let at = 0; at < large.length; at += 1_000_003) yield large.subarray(at, at + 1_000_003);
  };
  await file.uploadStream(Readable.from(pieces()), { chunkSize: 4 * MiB, maxConcurrency: 5 });
  assert.equal(hash(await file.readToBuffer()), hash(large));
});

test("an empty file is uploaded", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("empty");
  await file.upload(Buffer.alloc(0));
  assert.equal((await file.getProperties()).contentLength, 0);
});

test("uploads replace, and refuse to where a condition says so", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.upload(Buffer.from("first and longer"));
  await file.upload(Buffer.from("second"));
  assert.equal((await file.readToBuffer()).toString(), "second");
  await refused(file.upload(Buffer.from("third"), { conditions: { ifNoneMatch: "*" } }), 409, "PathAlreadyExists");
  assert.equal((await file.readToBuffer()).toString(), "second");
});

test("a hundred small files are written at once", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const paths = Array.from({ length: 100 }, (_, i) => `d${i % 10}/f${i}`);
  await Promise.all(paths.map((path) => fileSystem.getFileClient(path).upload(Buffer.from(path))));
  const texts = await Promise.all(
    paths.map(async (path) => (await fileSystem.getFileClient(path).readToBuffer()).toString()),
  );
  assert.deepEqual(texts, paths);
});
