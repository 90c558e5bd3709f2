// Directories and their metadata.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, names, refused, writeFile } from "./lake.js";

test("a directory is made with its parents and described", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("a/b/c");
  assert.equal(await directory.exists(), false);
  const made = await directory.create({ metadata: { colour: "green" } });
  assert.match(made.etag, /^"0x/);
  assert.equal(await directory.exists(), true);
  assert.equal(await fileSystem.getDirectoryClient("a/b").exists(), true);
  const properties = await directory.getProperties();
  assert.equal(properties.metadata.colour, "green");
  assert.equal(properties.metadata.hdi_isfolder, "true");
  assert.equal(properties.contentLength, 0);
  assert.equal(properties.etag, made.etag);
  assert.ok(properties.createdOn instanceof Date);
});

test("a directory that is there stays with createIfNotExists, and create keeps its children", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  assert.equal((await directory.createIfNotExists()).succeeded, true);
  await writeFile(fileSystem, "d/child", "x");
  assert.equal((await directory.createIfNotExists()).succeeded, false);
  await refused(directory.create({ conditions: { ifNoneMatch: "*" } }), 409, "PathAlreadyExists");
  await directory.create({ metadata: { second: "time" } });
  assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["d", "d/child"]);
  assert.equal((await directory.getProperties()).metadata.second, "time");
});

test("a file and a directory do not replace each other", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "file", "x");
  await fileSystem.getDirectoryClient("directory").create();
  await refused(fileSystem.getDirectoryClient("file").create(), 409, "PathConflict");
  await refused(fileSystem.getFileClient("directory").create(), 409, "PathConflict");
  await refused(fileSystem.getFileClient("file/below").create(), 409, "PathConflict");
});

test("metadata of a directory is replaced as a whole", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create({ metadata: { one: "1" } });
  await directory.setMetadata({ two: "2" });
  const { metadata } = await directory.getProperties();
  assert.equal(metadata.two, "2");
  assert.equal(metadata.one, undefined);
});

test("a directory with something in it goes only with all below it", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await writeFile(fileSystem, "d/e/f", "x");
  await refused(directory.delete(false), 409, "DirectoryNotEmpty");
  await directory.delete(true);
  assert.equal(await directory.exists(), false);
  assert.equal(await fileSystem.getFileClient("d/e/f").exists(), false);
  await refused(directory.delete(true), 404, "PathNotFound");
  assert.equal((await directory.deleteIfExists(true)).succeeded, false);
});

test("an empty directory goes by itself", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  await directory.delete();
  assert.equal(await directory.exists(), false);
});

test("clients of parts of a directory lead to the same paths", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("one");
  await directory.getSubdirectoryClient("two").create();
  const file = directory.getSubdirectoryClient("two").getFileClient("three");
  await file.upload(Buffer.from("3"));
  assert.equal(file.name, "one/two/three");
  assert.equal((await fileSystem.getFileClient("one/two/three").getProperties()).contentLength, 1);
});

test("a delete with a condition that does not hold leaves the directory", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  await refused(directory.delete(true, { conditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
  const { etag } = await directory.getProperties();
  await directory.delete(true, { conditions: { ifMatch: etag } });
  assert.equal(await directory.exists(), false);
});
