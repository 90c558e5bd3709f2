// Lists of paths: order, pages, what an entry tells.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, names, refused, writeFile } from "./lake.js";

async function tree(t) {
  const fileSystem = await freshFileSystem(t);
  for (const path of ["a/1", "a/2", "a/b/3", "a-b", "c"]) await writeFile(fileSystem, path, path);
  return fileSystem;
}

test("direct children, or all below, folder by folder", async (t) => {
  const fileSystem = await tree(t);
  assert.deepEqual(await names(fileSystem.listPaths()), ["a", "a-b", "c"]);
  assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["a", "a/1", "a/2", "a/b", "a/b/3", "a-b", "c"]);
  assert.deepEqual(await names(fileSystem.listPaths({ path: "a" })), ["a/1", "a/2", "a/b"]);
  assert.deepEqual(await names(fileSystem.listPaths({ path: "a", recursive: true })), ["a/1", "a/2", "a/b", "a/b/3"]);
});

test("an entry tells what a reader needs", async (t) => {
  const fileSystem = await tree(t);
  const entries = [];
  for await (const entry of fileSystem.listPaths({ recursive: true })) entries.push(entry);
  const directory = entries[0];
  assert.equal(directory.isDirectory, true);
  assert.equal(directory.contentLength, 0);
  assert.equal(directory.permissions.owner.execute, true);
  const file = entries[1];
  assert.ok(!file.isDirectory);
  assert.equal(file.contentLength, 3);
  assert.equal(file.owner, "$superuser");
  assert.equal(file.group, "$superuser");
  const properties = await fileSystem.getFileClient("a/1").getProperties();
  assert.equal(`"${file.etag.replaceAll('"', "")}"`, properties.etag);
  assert.deepEqual(file.lastModified, properties.lastModified);
  // The list tells it to the tick, a header to the second.
  assert.equal(Math.floor(file.createdOn / 1000), properties.createdOn / 1000);
});

test("an expiry stands in the list", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  const expiresOn = new Date(Math.floor(Date.now() / 1000) * 1000 + 3600 * 1000);
  await file.setExpiry("Absolute", { expiresOn });
  const entry = (await fileSystem.listPaths().next()).value;
  assert.deepEqual(entry.expiresOn, expiresOn);
});

test("pages are full and the last says so", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const wanted = Array.from({ length: 12 }, (_, i) => `f${String(i).padStart(2, "0")}`);
  for (const name of wanted) await fileSystem.getFileClient(name).create();
  const pages = [];
  for await (const page of fileSystem.listPaths().byPage({ maxPageSize: 6 })) {
    pages.push((page.pathItems ?? []).map((item) => item.name));
  }
  assert.deepEqual(pages, [wanted.slice(0, 6), wanted.slice(6)]);
});

test("a list goes on from its continuation, whatever was added and removed", async (t) => {
  const fileSystem = await freshFileSystem(t);
  for (const name of ["a", "b", "c", "d"]) await fileSystem.getFileClient(name).create();
  const first = (await fileSystem.listPaths().byPage({ maxPageSize: 2 }).next()).value;
  assert.deepEqual(first.pathItems.map((item) => item.name), ["a", "b"]);
  await fileSystem.getFileClient("a").delete();
  await fileSystem.getFileClient("c").delete();
  await fileSystem.getFileClient("cc").create();
  const rest = fileSystem.listPaths().byPage({ maxPageSize: 10, continuationToken: first.continuation });
  assert.deepEqual((await rest.next()).value.pathItems.map((item) => item.name), ["cc", "d"]);
});

test("more paths than a page holds come whole", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const count = 5_300;
  let next = 0;
  const worker = async () => {
    while (next < count) await fileSystem.getFileClient(`many/f${next++}`).create();
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  const found = await names(fileSystem.listPaths({ path: "many" }));
  assert.equal(new Set(found).size, count);
  assert.deepEqual(found, [...found].sort());
});

test("an empty filesystem has an empty list", async (t) => {
  const fileSystem = await freshFileSystem(t);
  assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), []);
});

test("a directory that is not there cannot be listed", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await refused(fileSystem.listPaths({ path: "missing" }).next(), 404, "PathNotFound");
});

test("deleted paths are listed and brought back", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "back");
  await file.delete();
  const deleted = [];
  for await (const entry of fileSystem.listDeletedPaths()) deleted.push(entry);
  assert.deepEqual(deleted.map((entry) => entry.name), ["f"]);
  await fileSystem.undeletePath("f", deleted[0].deletionId);
  assert.equal(await file.exists(), true);
});
