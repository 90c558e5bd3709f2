// Renames of files and directories, within a filesystem and across.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, names, readText, refused, writeFile } from "./lake.js";

test("a directory moves with all that is below it", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "old/a/b", "deep");
  await writeFile(fileSystem, "old/c", "flat");
  await fileSystem.getDirectoryClient("old").move("new");
  assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["new", "new/a", "new/a/b", "new/c"]);
  assert.equal(await readText(fileSystem.getFileClient("new/a/b")), "deep");
  assert.equal(await fileSystem.getFileClient("old/c").exists(), false);
});

test("a moved file keeps its ETag, times and metadata", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "from", "abc");
  await file.setMetadata({ kept: "yes" });
  const before = await file.getProperties();
  await file.move("to");
  const after = await fileSystem.getFileClient("to").getProperties();
  assert.equal(after.etag, before.etag);
  assert.deepEqual(after.lastModified, before.lastModified);
  assert.deepEqual(after.createdOn, before.createdOn);
  assert.deepEqual(after.metadata, { kept: "yes" });
});

test("a file moves into another filesystem", async (t) => {
  const from = await freshFileSystem(t);
  const to = await freshFileSystem(t);
  await to.getDirectoryClient("d").create();
  const file = await writeFile(from, "f", "abc");
  await file.move(to.name, "d/g");
  assert.equal(await readText(to.getFileClient("d/g")), "abc");
  assert.deepEqual(await names(from.listPaths()), []);
});

test("a file replaces a file, unless a condition says no", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const one = await writeFile(fileSystem, "one", "1");
  await writeFile(fileSystem, "two", "2");
  await refused(one.move("two", { destinationConditions: { ifNoneMatch: "*" } }), 409, "PathAlreadyExists");
  await one.move("two");
  assert.equal(await readText(fileSystem.getFileClient("two")), "1");
});

test("conditions of the source are kept", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "1");
  await refused(file.move("g", { conditions: { ifMatch: '"0x1"' } }), 412, "SourceConditionNotMet");
  const { etag } = await file.getProperties();
  await file.move("g", { conditions: { ifMatch: etag } });
});

test("conditions of the destination are kept", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "1");
  const there = await writeFile(fileSystem, "g", "2");
  await refused(file.move("g", { destinationConditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
  const { etag } = await there.getProperties();
  await file.move("g", { destinationConditions: { ifMatch: etag } });
  assert.equal(await readText(there), "1");
});

test("an empty directory is replaced, a full one is not", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "from/f", "x");
  await fileSystem.getDirectoryClient("empty").create();
  await fileSystem.getDirectoryClient("from").move("empty");
  assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["empty", "empty/f"]);
  await writeFile(fileSystem, "full/g", "y");
  await refused(fileSystem.getDirectoryClient("empty").move("full"), 409, "PathAlreadyExists");
});

test("renames that cannot be are refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  await refused(fileSystem.getFileClient("missing").move("g"), 404, "SourcePathNotFound");
  await refused(file.move("no/such/parent/f"), 404, "RenameDestinationParentPathNotFound");
  await refused(directory.move("d/below"), 409, "InvalidRenameSourcePath");
  await refused(directory.move("f"), 409, "InvalidSourceOrDestinationResourceType");
});

test("a client of the new place comes from the move's path", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  const file = await writeFile(fileSystem, "d/old name", "x");
  await file.move("d/new näme & more");
  assert.deepEqual(await names(fileSystem.listPaths({ path: "d" })), ["d/new näme & more"]);
});

test("ten moves in a circle come back", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "d0/f", "round");
  for (let i = 0; i < 10; i += 1) await fileSystem.getDirectoryClient(`d${i}`).move(`d${(i + 1) % 10}`);
  assert.equal(await readText(fileSystem.getFileClient("d0/f")), "round");
});
