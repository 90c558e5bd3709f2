// Names with everything that an address, a header or a header's signature could trip over.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, names, readText, refused, writeFile } from "./lake.js";

const SEGMENTS = [
  "with space",
  "100%",
  "%41%2F",
  "plus+sign",
  "quote'and\"double",
  "semi;colon,comma",
  "hash#question?",
  "amp&equals=",
  "at@colon:",
  "brackets[](){}<>",
  "tilde~back`tick",
  "dollar$caret^pipe|star*",
  "back\\slash",
  "ümläut ß",
  "日本語",
  "emoji 🚀",
  "e\u0301 combining",
  "عربى",
  ".hidden",
  "a..b",
  "trailing-",
  "UPPER",
];

for (const segment of SEGMENTS) {
  test(`${JSON.stringify(segment)} as directory and file`, async (t) => {
    const fileSystem = await freshFileSystem(t);
    const path = `${segment}/${segment}`;
    const file = await writeFile(fileSystem, path, segment);
    assert.equal(await readText(file), segment);
    assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), [segment, path]);
    assert.deepEqual(await names(fileSystem.listPaths({ path: segment })), [path]);
    await fileSystem.getDirectoryClient(segment).move("plain");
    // The client takes the destination of a move as a part of an address.
    await fileSystem.getFileClient(`plain/${segment}`).move(`plain/${encodeURIComponent(`${segment} 2`)}`);
    await fileSystem.getDirectoryClient("plain").move(encodeURIComponent(segment));
    assert.equal(await readText(fileSystem.getFileClient(`${segment}/${segment} 2`)), segment);
    await fileSystem.getDirectoryClient(segment).delete(true);
    assert.deepEqual(await names(fileSystem.listPaths()), []);
  });
}

test("names differ by case and by form", async (t) => {
  const fileSystem = await freshFileSystem(t);
  for (const name of ["a", "A", "\u00e9", "e\u0301"]) await writeFile(fileSystem, name, name);
  assert.equal((await names(fileSystem.listPaths())).length, 4);
  for (const name of ["a", "A", "\u00e9", "e\u0301"]) assert.equal(await readText(fileSystem.getFileClient(name)), name);
});

test("metadata keeps its values, and names without regard to case", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  const metadata = { plain: "value", empty_like: "x", with_equals: "a=b,c=d", spaced: "two words" };
  await file.create({ metadata });
  assert.deepEqual((await file.getProperties()).metadata, metadata);
});

test("metadata with a name that is no identifier is refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await assert.rejects(file.create({ metadata: { "no-hyphen": "x" } }), (error) => error.statusCode === 400);
});

test("a path may be 63 deep and no deeper", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const deep = Array.from({ length: 63 }, (_, i) => `d${i}`);
  await writeFile(fileSystem, deep.join("/"), "down here");
  assert.equal((await names(fileSystem.listPaths({ recursive: true }))).length, 63);
  await refused(fileSystem.getFileClient([...deep, "f"].join("/")).create(), 400, "PathIsTooDeep");
});

test("slashes that say nothing are passed over", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "a/b", "x");
  assert.equal(await readText(fileSystem.getFileClient("a//b")), "x");
});
