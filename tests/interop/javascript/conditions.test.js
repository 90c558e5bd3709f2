// Conditions by ETag and time on everything that takes them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, readText, refused, writeFile } from "./lake.js";

const DAY = 24 * 3600 * 1000;
const yesterday = () => new Date(Date.now() - DAY);
const tomorrow = () => new Date(Date.now() + DAY);

const operations = {
  setHttpHeaders: (file, conditions) => file.setHttpHeaders({ contentType: "text/plain" }, { conditions }),
  setMetadata: (file, conditions) => file.setMetadata({ a: "1" }, { conditions }),
  setPermissions: (file, conditions) =>
    file.setPermissions(
      {
        owner: { read: true, write: true, execute: false },
        group: { read: true, write: false, execute: false },
        other: { read: false, write: false, execute: false },
        stickyBit: false,
        extendedAcls: false,
      },
      { conditions },
    ),
  flush: (file, conditions) => file.flush(3, { conditions }),
  delete: (file, conditions) => file.delete(conditions && false, { conditions }),
};

for (const [name, operation] of Object.entries(operations)) {
  test(`${name} keeps conditions`, async (t) => {
    const fileSystem = await freshFileSystem(t);
    const file = await writeFile(fileSystem, "f", "abc");
    await refused(operation(file, { ifMatch: '"0x1"' }), 412, "ConditionNotMet");
    await refused(operation(file, { ifUnmodifiedSince: yesterday() }), 412, "ConditionNotMet");
    await refused(operation(file, { ifModifiedSince: tomorrow() }), 412, "ConditionNotMet");
    const { etag } = await file.getProperties();
    await refused(operation(file, { ifNoneMatch: etag }), 412, "ConditionNotMet");
    await operation(file, { ifMatch: etag, ifUnmodifiedSince: tomorrow() });
  });
}

test("a read under a condition that does not hold brings nothing", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const { etag, lastModified } = await file.getProperties();
  await refused(file.read(0, undefined, { conditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
  await refused(file.read(0, undefined, { conditions: { ifNoneMatch: etag } }), 304, "ConditionNotMet");
  await refused(file.read(0, undefined, { conditions: { ifModifiedSince: lastModified } }), 304, "ConditionNotMet");
  await refused(file.getProperties({ conditions: { ifUnmodifiedSince: yesterday() } }), 412, "ConditionNotMet");
  assert.equal(await readText(file, 0, undefined, { conditions: { ifMatch: etag } }), "abc");
});

test("a create under a condition compares with what is there", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  await refused(file.create({ conditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
  assert.equal(await readText(file), "abc");
  const { etag } = await file.getProperties();
  await file.create({ conditions: { ifMatch: etag } });
  assert.equal((await file.getProperties()).contentLength, 0);
});

test("the ETag changes with content, headers and metadata, and not with an append", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const seen = new Set();
  const look = async () => seen.add((await file.getProperties()).etag);
  await look();
  await file.append(Buffer.from("d"), 3, 1);
  await look();
  assert.equal(seen.size, 1);
  await file.flush(4);
  await look();
  await file.setMetadata({ a: "1" });
  await look();
  await file.setHttpHeaders({ contentType: "text/plain" });
  await look();
  assert.equal(seen.size, 4);
});

test("a lost race is noticed by the ETag", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const { etag } = await file.getProperties();
  await file.upload(Buffer.from("somebody else"));
  await file.append(Buffer.from("!"), 13, 1);
  await refused(file.flush(14, { conditions: { ifMatch: etag } }), 412, "ConditionNotMet");
  assert.equal(await readText(file), "somebody else");
});
